/** A session without a model: edits, runs, what is told to pages, files. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it, vi } from "vitest";
import { provenanceOf } from "../../src/caching/adjustment/adjustment.js";
import { saveAdjustment } from "../../src/caching/adjustment/adjustmentFile.js";
import { predictSeconds, predictSpeedup } from "../../src/caching/costs/predictSeconds.js";
import { defineReuseRule, reuseRule } from "../../src/caching/run/reuseRule.js";
import { ArgumentError } from "../../src/errors.js";
import { applyMessage } from "../../src/live/document.js";
import type { LiveDocument } from "../../src/live/document.js";
import { commandSchema, parseChecked, sessionFileSchema } from "../../src/live/schemas.js";
import type { SessionCommand } from "../../src/live/schemas.js";
import { LiveSession } from "../../src/live/session.js";
import type { CachedBy, Jobs } from "../../src/live/worker.js";
import { WorkerEndedError } from "../../src/live/workerEnded.js";
import { defineHeuristic } from "../../src/caching/heuristics/registry.js";
import { threshold } from "../../src/caching/heuristics/threshold.js";
import { measurementsFromJson } from "../../src/planning/plainData.js";
import { planSchedule, predictPlan } from "../../src/planning/plan.js";
import { madeUpWorker, measurements, profile } from "./madeUpWorker.js";
import type { MadeUpWorker } from "./madeUpWorker.js";

const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
};

async function begun(worker: MadeUpWorker = madeUpWorker(), grace?: number): Promise<LiveSession> {
  const session = new LiveSession(worker, { model: "made-up", cacheFolder: "/nowhere", graceMilliseconds: grace });
  await settled();
  return session;
}

const ids = profile.blocks.map(({ id }) => id);
const evaluations = [...profile.setting.timesteps.keys()];
const commands: fc.Arbitrary<SessionCommand> = fc.oneof(
  fc.record({
    command: fc.constant("edit" as const),
    edit: fc.record({
      kind: fc.constant("paint" as const),
      mark: fc.constantFrom("compute" as const, "reuse" as const, "clear" as const),
      blocks: fc.subarray(ids, { minLength: 1 }),
      evaluations: fc.subarray(evaluations, { minLength: 1 }),
    }),
  }),
  fc.double({ min: 0, max: 1, noNaN: true }).map((delta): SessionCommand => ({
    command: "edit",
    edit: { kind: "set", values: { heuristic: "threshold", options: { delta } } },
  })),
  fc
    .constantFrom("hold", "linear")
    .map((reuse): SessionCommand => ({ command: "edit", edit: { kind: "set", values: { reuse } } })),
);

describe("edits", () => {
  it("a thousand of them, all undone, give the first schedule; all redone, the last", async () => {
    const session = await begun();
    session.do({ command: "follow", on: false });
    const first = session.schedule;
    fc.assert(
      fc.property(fc.array(commands, { minLength: 1000, maxLength: 1000 }), (list) => {
        for (const command of list) session.do(command);
        const last = session.schedule;
        while (session.document.history.undo > 0) session.do({ command: "undo" });
        expect(session.schedule).toEqual(first);
        while (session.document.history.redo > 0) session.do({ command: "redo" });
        expect(session.schedule).toEqual(last);
        while (session.document.history.undo > 0) session.do({ command: "undo" });
      }),
      { numRuns: 3 },
    );
  });

  it("of one stroke are undone together", async () => {
    const session = await begun();
    for (const delta of [0.3, 0.4, 0.5])
      session.do({ command: "edit", edit: { kind: "set", values: { options: { delta } } }, stroke: "drag" });
    session.do({ command: "undo" });
    expect(session.document.plan.options).toEqual({ delta: 0.2 });
    expect(session.document.history).toEqual({ undo: 0, redo: 1 });
  });
});

describe("what a page plans", () => {
  it("from the measurements as they are sent, is the session's schedule, after any edits", async () => {
    const session = await begun();
    session.do({ command: "follow", on: false });
    const sent = measurementsFromJson(session.measurementsText(session.document.measured ?? "") ?? "");
    const library = measurements.costs;
    fc.assert(
      fc.property(fc.array(commands, { minLength: 1, maxLength: 30 }), (list) => {
        for (const command of list) session.do(command);
        const { plan } = session.document;
        const planned = planSchedule(plan, sent);
        expect(planned).toEqual(session.schedule);
        const { speedup, seconds } = predictPlan(sent.costs, planned, reuseRule(plan.reuse));
        expect(speedup).toBe(predictSpeedup(library, planned, reuseRule(plan.reuse)));
        expect(seconds).toBe(predictSeconds(library, planned, reuseRule(plan.reuse)));
      }),
    );
  });
});

describe("a scale-shift adjustment", () => {
  const folder = mkdtempSync(join(tmpdir(), "blockcache-session-"));
  const file = join(folder, "adjustment.safetensors");
  const schedule = threshold(profile, { delta: 0.2, kinds: ["transformer"] });
  afterAll(() => rmSync(folder, { recursive: true }));

  async function adjusting(): Promise<{ session: LiveSession; worker: MadeUpWorker; cached: () => CachedBy }> {
    await saveAdjustment(file, {
      schedule: provenanceOf(schedule),
      reuse: "linear",
      halves: 1,
      fit: { method: "closed-form" },
      report: {},
      library_version: "0",
      blocks: { [ids[0]]: { channels: 1, terms: { scale: new Float32Array(evaluations.length).fill(0.5) } } },
    });
    const worker = madeUpWorker();
    const session = new LiveSession(worker, {
      model: "made-up",
      cacheFolder: "/nowhere",
      schedule,
      adjustment: file,
    });
    await vi.waitUntil(() => session.document.comparison?.state === "finished");
    const cached = (): CachedBy => (worker.inputs.at(-1) as Jobs["compare"]["input"]).cached;
    return { session, worker, cached };
  }

  it("is on at the start for the schedule that it was fitted for, off by hand, and on again", async () => {
    const { session, cached } = await adjusting();
    expect(cached()).toEqual({ schedule, reuse: "linear", adjustment: file });
    expect(session.document.comparison?.adjusted).toBe(true);
    expect(session.recipes().command).toContain(`--adjustment ${file}`);
    expect(session.recipes().cell).toContain(`adjustment: await loadAdjustment(${JSON.stringify(file)})`);
    session.do({ command: "edit", edit: { kind: "set", values: { adjusted: false } } });
    await settled();
    expect(cached()).toEqual({ schedule, reuse: "linear" });
    expect(session.document.comparison?.adjusted).toBe(false);
    expect(session.recipes().command).not.toContain("--adjustment");
    session.do({ command: "undo" });
    await settled();
    expect(cached().adjustment).toBe(file);
  });

  it("is not applied to another schedule or rule, and says so", async () => {
    const { session, cached } = await adjusting();
    session.do({ command: "edit", edit: { kind: "set", values: { options: { delta: 0.9 } } } });
    await settled();
    expect(session.document.adjustment?.problem).toMatch(/fitted for another schedule/);
    expect(cached().adjustment).toBeUndefined();
    session.do({ command: "undo" });
    session.do({ command: "edit", edit: { kind: "set", values: { reuse: "hold" } } });
    await settled();
    expect(session.document.adjustment?.problem).toMatch(/fitted for the reuse rule linear/);
    session.do({ command: "undo" });
    await settled();
    expect(session.document.adjustment).toEqual({ file, mending: { history: 1, inputsOf: [] } });
  });

  it("goes with judged points; where it is not there any more, the point says so", async () => {
    const { session, worker } = await adjusting();
    session.do({ command: "judge", add: "this" });
    await settled();
    expect(worker.inputs.at(-1)).toMatchObject({ cached: { adjustment: file } });
    session.do({ command: "judgedSet", values: { seeds: [1] } });
    const text = JSON.stringify(session.save());
    const other = await begun();
    other.reopen(parseChecked(sessionFileSchema, text, "session"));
    other.do({ command: "judging", on: true });
    await settled();
    expect(other.document.judged.points).toMatchObject([
      { adjusted: true, problem: expect.stringMatching(/expected the one/) },
    ]);
  });
});

describe("pages", () => {
  it("come to the session's document from its messages", async () => {
    const session = await begun();
    let page: LiveDocument = session.document;
    session.subscribe((message) => (page = applyMessage(page, JSON.parse(JSON.stringify(message)))));
    session.do({ command: "settings", values: { prompt: "b" } });
    session.do({ command: "edit", edit: { kind: "set", values: { options: { delta: 0.7 } } } });
    session.do({ command: "look", block: ids[0] });
    session.do({ command: "judge", add: "values" });
    await settled();
    session.do({ command: "other", do: "keep" });
    session.do({ command: "undo" });
    await settled();
    expect(JSON.parse(JSON.stringify(page))).toEqual(JSON.parse(JSON.stringify(session.document)));
  });

  it("work stops a while after the last one has gone, and not before", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const worker = madeUpWorker();
      const session = await begun(worker, 1000);
      const [one, two] = [session.attach(), session.attach()];
      worker.holds = true;
      session.do({ command: "sample" });
      await settled();
      one();
      vi.advanceTimersByTime(5000);
      two();
      vi.advanceTimersByTime(900);
      const three = session.attach();
      vi.advanceTimersByTime(5000);
      expect(worker.log).not.toContain("compare aborted");
      three();
      vi.advanceTimersByTime(1001);
      await settled();
      expect(worker.log).toContain("compare aborted");
      expect(session.document.comparison?.state).toBe("stopped");
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("a run", () => {
  it("is stopped by an edit, and begins again with it; without following it waits", async () => {
    const worker = madeUpWorker();
    const session = await begun(worker);
    worker.holds = true;
    session.do({ command: "sample" });
    await settled();
    session.do({ command: "edit", edit: { kind: "set", values: { options: { delta: 0.9 } } } });
    await settled();
    expect(worker.log.slice(-3)).toEqual(["compare", "compare aborted", "compare"]);
    expect(session.document.comparison).toMatchObject({ state: "computing", plan: { options: { delta: 0.9 } } });
    session.do({ command: "follow", on: false });
    session.do({ command: "edit", edit: { kind: "set", values: { options: { delta: 0.1 } } } });
    await settled();
    expect(worker.log.at(-1)).toBe("compare aborted");
    expect(session.document.comparison).toMatchObject({ state: "stopped", stale: true });
  });

  it("that the worker's end cut off is done again when the worker is back, and nothing is lost", async () => {
    const worker = madeUpWorker();
    const session = await begun(worker);
    session.do({ command: "edit", edit: { kind: "set", values: { options: { delta: 0.5 } } } });
    worker.holds = true;
    session.do({ command: "sample" });
    await settled();
    worker.become({ state: "restarting", message: "the worker ended by SIGKILL" });
    worker.fail(new WorkerEndedError("the worker ended by SIGKILL"));
    await settled();
    expect(session.document).toMatchObject({ worker: { state: "restarting" }, comparison: { state: "failed" } });
    worker.holds = false;
    worker.become({ state: "ready" });
    await settled();
    expect(session.document).toMatchObject({ comparison: { state: "finished" }, plan: { options: { delta: 0.5 } } });
  });
});

describe("judging", () => {
  it("gives every point all its trajectories, and a new set begins anew", async () => {
    const session = await begun();
    session.do({ command: "judgedSet", values: { prompts: ["a", "b"], seeds: [0, 1] } });
    session.do({ command: "judge", add: "this" });
    session.do({ command: "judge", add: "plain" });
    await settled();
    expect(session.document.judged.runs).toBe(false);
    expect(session.document.judged.points.map(({ results }) => results.length)).toEqual(Array(6).fill(4));
    session.do({ command: "judgedSet", values: { seeds: [5] } });
    expect(session.document.judged.points.every(({ results }) => results.length === 0)).toBe(true);
  });
});

describe("a user's own heuristic", () => {
  const own = (delta: number) =>
    defineHeuristic({
      name: "mine",
      find: (given, options) => threshold(given, { ...options, delta }),
      parameter: "x",
      values: [1],
    });
  it("finds the schedule, and is loaded anew", async () => {
    const session = await begun();
    session.offer(own(0));
    session.do({ command: "edit", edit: { kind: "set", values: { heuristic: "mine", options: { x: 1 } } } });
    const computed = (): number => Object.values(session.schedule?.blocks ?? {}).flat().length;
    expect(session.document.ownSchedule).toHaveProperty("schedule");
    const before = computed();
    session.offer(own(9));
    expect(computed()).toBeLessThan(before);
    expect(session.document.ownHeuristics).toMatchObject([{ name: "mine", version: 2 }]);
    session.offer({ name: "mine", problem: "it does not parse" });
    expect(session.document.ownHeuristics).toMatchObject([{ version: 3, problem: "it does not parse" }]);
    expect(() => session.offer({ ...own(1), name: "threshold" })).toThrow(ArgumentError);
  });
});

describe("a user's own reuse rule", () => {
  const half = () => defineReuseRule({ name: "half", history: 2, weights: (_, kept) => kept.map(() => 0.5) });
  it("that nobody defined is said; defined, it stands in the picker and the session finds the schedule", async () => {
    const session = await begun();
    session.do({ command: "edit", edit: { kind: "set", values: { reuse: "half" } } });
    expect(session.document.ownSchedule).toHaveProperty("problem", expect.stringMatching(/reuse: expected hold/));
    half();
    expect(session.document.ownRules).toEqual([{ name: "half", history: 2 }]);
    expect(session.document.ownSchedule).toEqual({
      schedule: threshold(profile, { delta: 0.2, kinds: ["transformer"] }),
    });
    session.do({ command: "edit", edit: { kind: "set", values: { reuse: "hold" } } });
    expect(session.document.ownSchedule).toBeUndefined();
  });
});

describe("a session's file", () => {
  it("brings everything back", async () => {
    const session = await begun();
    session.do({ command: "follow", on: false });
    session.do({ command: "edit", edit: { kind: "paint", mark: "reuse", blocks: [ids[0]], evaluations: [2, 3] } });
    session.do({ command: "sample" });
    session.do({ command: "look", block: ids[1] });
    session.do({ command: "judge", add: "this" });
    session.do({ command: "other", do: "keep" });
    await settled();
    const text = JSON.stringify(session.save());
    const again = await begun();
    again.reopen(parseChecked(sessionFileSchema, text, "session"));
    await settled();
    expect(JSON.parse(JSON.stringify(again.save()))).toEqual(JSON.parse(text));
    expect(again.schedule).toEqual(session.schedule);
  });

  it("of another model is refused", async () => {
    const session = await begun();
    const file = { ...session.save(), model: { name: "other", fingerprint: "sha256:1" } };
    expect(() => session.reopen(file)).toThrow(/made with the model other/);
  });
});

describe("what comes from outside", () => {
  it.each([
    ["no JSON", "{", /expected JSON/],
    ["__proto__", '{"command":"sample","__proto__":{"admin":true}}', /the name __proto__/],
    [
      "constructor",
      '{"command":"edit","edit":{"kind":"restore","plan":{"constructor":{"prototype":{}}}}}',
      /the name (constructor|prototype)/,
    ],
    ["an unknown command", '{"command":"rm"}', /command/],
    ["an unknown key", '{"command":"sample","file":"../../x"}', /command/],
    ["a number out of range", '{"command":"settings","values":{"steps":1e9}}', /steps/],
    [
      "a schedule that breaks a rule",
      JSON.stringify({ command: "edit", edit: { kind: "import", schedule: { blocks: { a: [1] } } } }),
      /schedule/,
    ],
  ])("is refused: %s", (_, text, message) => {
    expect(() => parseChecked(commandSchema, text, "command")).toThrow(message);
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });
});
