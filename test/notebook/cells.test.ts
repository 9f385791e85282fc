/** Ordinary TypeScript in cells, in a real kernel: what each cell prints is what the same lines print in a module. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startKernel } from "./kernel.js";
import type { Kernel } from "./kernel.js";

let kernel: Kernel;
beforeAll(async () => {
  kernel = await startKernel();
}, 240_000);
afterAll(() => kernel?.stop());

/** What the last of several cells prints; the others must run. */
async function printed(...cells: string[]): Promise<string> {
  let stdout = "";
  for (const cell of cells) {
    const ran = await kernel.run(cell);
    expect(ran.error, cell).toBeUndefined();
    expect(ran.status, cell).toBe("ok");
    stdout = ran.stdout;
  }
  return stdout;
}

describe("names of earlier cells", () => {
  it.each([
    [
      "shorthand of a variable",
      ['const prompt = "cat";', "console.log(JSON.stringify({ prompt }));"],
      '{"prompt":"cat"}\n',
    ],
    [
      "shorthand of an import",
      ['import { join } from "node:path";', "console.log(typeof { join }.join);"],
      "function\n",
    ],
    [
      "shorthand inside a function",
      ["const seed = 3;", "const of = () => ({ seed });\nconsole.log(of().seed);"],
      "3\n",
    ],
    [
      "a parameter of the same name",
      ["const steps = 3;", "const of = (steps: number) => ({ steps });\nconsole.log(of(4).steps);"],
      "4\n",
    ],
    [
      "destructuring",
      ["const { a, b: [c], ...rest } = { a: 1, b: [2], d: 3 };", "console.log(a, c, rest.d);"],
      "1 2 3\n",
    ],
    [
      "destructuring into them",
      [
        "let x = 1, y = 2;",
        "[x, y] = [y, x];\n({ x, y = 7 } = { x: x + 10 } as { x: number; y?: number });",
        "console.log(x, y);",
      ],
      "12 7\n",
    ],
    [
      "functions see what a later cell assigns",
      ["let delta = 0.1;\nconst now = () => delta;", "delta = 0.5;", "console.log(now(), delta);"],
      "0.5 0.5\n",
    ],
    [
      "later cells see what functions assign",
      ["let count = 0;\nfunction bump() { count++; }", "bump(); count += 10; bump();", "console.log(count);"],
      "12\n",
    ],
    [
      "declared again, with another type",
      ["let value = 1;\nconst old = () => value;", 'let value = "new";', "console.log(old(), value);"],
      "1 new\n",
    ],
    [
      "classes, enums, namespaces, types",
      [
        "class Point { #x = 1; get x() { return this.#x; } }\nenum Kind { A, B }\nnamespace Space { export const z = 3; }\ninterface Shape { side: number }",
        "const shape: Shape = { side: 2 };\nconsole.log(new Point().x, Kind.B, Space.z, shape.side);",
      ],
      "1 1 3 2\n",
    ],
    [
      "an array that later cells fill",
      ["const rows = [];\nlet best;", "rows.push(1);\nbest = rows.length;", "console.log(rows, best);"],
      "[ 1 ] 1\n",
    ],
    ["a function without types", ["const join = (a, b) => [a, b].join();", "console.log(join(1, 2));"], "1,2\n"],
    [
      "exported",
      [
        "export const kept = 1;\nexport function twice() { return 2 * kept; }\nexport { kept as other };",
        "console.log(kept, twice());",
      ],
      "1 2\n",
    ],
  ])("%s", async (_, cells, expected) => {
    expect(await printed(...cells)).toBe(expected);
  });
});

describe("await", () => {
  it.each([
    ["a lone for await", ["for await (const x of [1, 2]) console.log(x);"], "1\n2\n"],
    ["of what stands in brackets", ["console.log(await (async () => 3)());"], "3\n"],
    ["twice in a line", ["console.log(await (await Promise.resolve({ json: async () => 4 })).json());"], "4\n"],
    [
      "an import, typed, in a later cell",
      [
        'const fs = await import("node:fs");',
        "const read: (typeof fs)['readFileSync'] = fs.readFileSync;\nconsole.log(typeof read);",
      ],
      "function\n",
    ],
    [
      "an import of the library is the same library",
      [
        'import { ArgumentError } from "blockcache";',
        'const library = await import("blockcache");\nconsole.log(library.ArgumentError === ArgumentError);',
      ],
      "true\n",
    ],
    [
      "an import that awaits",
      [
        'const source = "data:text/javascript,export default await Promise.resolve(5)";',
        "console.log((await import(source)).default);",
      ],
      "5\n",
    ],
    [
      "in loops with labels",
      [
        "outer: for (const a of [1, 2]) for (const b of [1, 2]) { if (b === 2) continue outer; console.log(await a, b); }",
      ],
      "1 1\n2 1\n",
    ],
  ])("%s", async (_, cells, expected) => {
    expect(await printed(...cells)).toBe(expected);
  });
});

it("is strict, when it is compiled and when it runs", async () => {
  const typed = await kernel.run("const name: string = null;");
  expect(typed.error).toMatchObject({ ename: "TypeScriptError", evalue: expect.stringContaining("1:7 - Type 'null'") });
  const handled = await kernel.run(
    "type Shape = { kind: 'round'; radius: number } | { kind: 'square'; side?: number };\nconst area = (shape: Shape): number => (shape.kind === 'round' ? shape.radius : (shape.side ?? 1));\nlet last;\nfor (const x of [1]) last = x;\nconsole.log(last.toFixed(1));",
  );
  expect([handled.stdout, handled.stderr]).toEqual(["1.0\n", "5:13 - 'last' is possibly 'undefined'.\n"]);
  const run = await kernel.run("const frozen = Object.freeze({ a: 1 }) as { a: number };\nfrozen.a = 2;");
  expect(run.error).toMatchObject({ ename: "TypeError", evalue: expect.stringContaining("read only property 'a'") });
});

describe("after an error", () => {
  it("what the cell had finished is kept, and what it had not is as before", async () => {
    await kernel.run("const profile = 1;");
    const failed = await kernel.run(
      'const first = 2;\nthrow new RangeError("boom");\nconst profile = "two", missing = 3;',
    );
    expect(failed.status).toBe("error");
    expect(failed.error).toMatchObject({ ename: "RangeError", evalue: "boom" });
    expect(failed.error?.traceback?.join("\n")).not.toMatch(/tslab|runCells/);
    expect(await printed("console.log(first, profile.toFixed(1));")).toBe("2 1.0\n");
    expect((await kernel.run("missing")).error?.evalue).toContain("Cannot find name 'missing'");
  });

  it("the next cell runs at once; those that waited behind the failed one say that they did not", async () => {
    const [failed, waiting] = await kernel.runAll(['throw new Error("first");', 'console.log("second");']);
    expect([failed.status, waiting.status]).toEqual(["error", "aborted"]);
    expect(waiting.stdout).toBe("");
    expect(waiting.stderr).toContain("not run");
    expect(await printed('console.log("third");')).toBe("third\n");
  });
});

describe("outputs", () => {
  it("a flood loses no line", async () => {
    const lines = 60_000;
    const { stdout } = await kernel.run(`for (let i = 0; i < ${lines}; i++) console.log("line " + i);`);
    expect(stdout).toBe(Array.from({ length: lines }, (_, i) => `line ${i}\n`).join(""));
  });

  it("streams and displays stay in order", async () => {
    const { outputs } = await kernel.run(
      'import { show } from "blockcache";\nconsole.log("a"); console.error("b"); await show({ html: "<b>c</b>" }); console.log("d");',
    );
    expect(outputs.map(({ text, data }) => text ?? data?.["text/plain"])).toEqual(["a\n", "b\n", "c", "d\n"]);
  });

  it("a rejection that nobody awaits is seen in its cell, also when it comes late", async () => {
    const now = await kernel.run('void Promise.reject(new Error("unseen"));');
    expect(now.stderr).toContain("Error: unseen");
    const late = await kernel.run('void setTimeout(() => Promise.reject(new Error("too late")), 200);', {
      until: "too late",
    });
    expect(late.stderr).toContain("Error: too late");
    expect(await printed("console.log(1);")).toBe("1\n");
  });
});

it("a value as a cell's last line is shown as show() shows it", async () => {
  await printed(
    `import { blockMap, generate, loadPipeline, profileChange, show, threshold } from "blockcache";
    const pipeline = await loadPipeline("fluent-ldm");
    const sampled = await generate(pipeline, { prompt: "cat", steps: 2 });
    const changes = await profileChange(pipeline, { prompts: ["cat"], seeds: [0], steps: 3 });`,
  );
  for (const [value, form] of [
    ["sampled", "text/html"],
    ["sampled.images", "text/html"],
    ["sampled.latents", "text/html"],
    ["blockMap(pipeline)", "text/html"],
    ["changes", "application/vnd.plotly.v1+json"],
    ["threshold(changes, { delta: 0.2 })", "application/vnd.plotly.v1+json"],
  ]) {
    const last = await kernel.run(value);
    const shown = await kernel.run(`await show(${value});`);
    expect(last.error ?? shown.error, value).toBeUndefined();
    expect(last.outputs.map(({ data }) => data)).toEqual(shown.outputs.map(({ data }) => data));
    expect(last.outputs[0].data?.[form], value).toBeTruthy();
  }
  expect((await kernel.run("5 + 1")).stdout).toBe("6\n");
}, 120_000);

it("completes and inspects with the types of earlier cells", async () => {
  await kernel.run("const settings = { stepsOfIt: 20 };");
  expect((await kernel.complete("settings.st", 11)).matches).toContain("stepsOfIt");
  expect((await kernel.inspect("settings", 4)).data["text/plain"]).toContain("stepsOfIt: number");
});

it("restarts empty", async () => {
  await kernel.run("const before = 1;");
  await kernel.restart();
  expect((await kernel.run("before")).error?.evalue).toContain("Cannot find name 'before'");
  expect(await printed("console.log(2);")).toBe("2\n");
}, 240_000);
