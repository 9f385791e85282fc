/** `blockcache sweep` and `compare` as a user runs them. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { StudyResult } from "../../src/study/result.js";

const main = join("dist", "cli", "main.js");
const model = join("test", "fixtures", "models", "sd2-like");
const folder = mkdtempSync(join(tmpdir(), "blockcache-sweep-"));
const at = (name: string): string => join(folder, name);
const run = (...args: string[]) => spawnSync(process.execPath, [main, ...args], { encoding: "utf8" });
const profiled = ["--prompts", at("prompts.txt"), "--seeds", "0", "--steps", "6", "--solver", "ddim"];
const sweep = (out: string, ...more: string[]) =>
  run(
    "sweep",
    model,
    ...(more.includes("--profile") ? [] : ["--profile", at("p.safetensors")]),
    "--prompts",
    at("prompts.txt"),
    "--plain-steps",
    "2,4",
    "--converged-steps",
    "12",
    "--out",
    at(out),
    ...more,
  );

beforeAll(() => {
  writeFileSync(at("prompts.txt"), "red apple\n\nblue book\n");
  writeFileSync(
    at("alternate.mjs"),
    `
    // a user's heuristic
    export const [parameter, values] = ["every", [3]];
    export default (profile, { every }) => ({
      format: "blockcache-schedule", version: 1, model: profile.setting.model, solver: profile.setting.solver, num_inference_steps: 6, timesteps: profile.setting.timesteps,
      guidance_scale: 5, heuristic: { name: "alternate", every }, blocks: { "mid_block.attentions.0": [0, 1, 2, 3, 4, 5].filter((step) => step % every === 0) },
    });`,
  );
  writeFileSync(at("bare.mjs"), "export default () => undefined;\n");
  writeFileSync(at("same.mjs"), "export default () => [1];\n");
  expect(
    run(
      "costs",
      join("test", "fixtures", "models", "sd1-like"),
      "--samples",
      "1",
      "--out",
      at("other-costs.safetensors"),
    ).status,
  ).toBe(0);
  expect(
    run("profile", model, ...profiled, "--scheduler-config", "timestep_spacing=trailing", "--out", at("p.safetensors"))
      .stderr,
  ).toBe("");
}, 240_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("blockcache sweep", () => {
  it("measures every heuristic × value × kinds × reuse beside plain runs, and compare reads it", () => {
    const heuristics = [
      "--heuristic",
      "threshold",
      "uniform",
      at("alternate.mjs"),
      "--deltas",
      "0,1000",
      "--values",
      "uniform=2",
      "--kinds",
      "transformer",
      "all",
      "--reuse",
      "hold,linear",
    ];
    const swept = sweep("study", ...heuristics, "--json");
    expect({ status: swept.status, stderr: swept.stderr }).toEqual({ status: 0, stderr: "" });
    // 3 plain; (2 δ + 1 interval + 1 of the user's) × 2 sets of kinds × 2 rules, less those that are the same schedule:
    // at δ = 0 everything computes whatever may be cached, and the user's heuristic does not look at the kinds.
    const summary = JSON.parse(swept.stdout) as { arms: number; trajectories: number; warnings: string[] };
    expect(summary).toMatchObject({ arms: 3 + 16 - 4, trajectories: 2 });
    expect(summary.warnings).toContain(
      '"threshold δ 0, transformers, hold" does nothing: every block computes at every step',
    );
    const study = JSON.parse(readFileSync(join(at("study"), "study.json"), "utf8")) as StudyResult;
    expect(study.results.flatMap(({ arm }) => [arm.name, ...(arm.also ?? [])])).toEqual(
      expect.arrayContaining([
        "plain 2",
        "plain 4",
        "plain 6",
        "threshold δ 1000, all kinds, linear",
        "uniform interval 2, transformers, hold",
        "alternate every 3, all kinds, hold",
      ]),
    );

    const compared = run("compare", at("study"), "--csv", at("study.csv"));
    expect({ status: compared.status, stderr: compared.stderr }).toEqual({ status: 0, stderr: "" });
    expect(compared.stdout).toMatch(/sd2-like, ddim, 6 steps, trailing, guidance 5, 2 trajectories/);
    expect(compared.stdout).toMatch(/largest speed-up not worse than plain 6/);
    expect(compared.stdout).toMatch(/warning: "threshold δ 0, .*" does nothing/);
    expect(compared.stdout).toMatch(
      /^alternate every 3, transformers, hold = alternate every 3, all kinds, hold .*33 %/m,
    );
    const [head, ...lines] = readFileSync(at("study.csv"), "utf8").trim().split("\n");
    expect(lines.length).toBe(15);
    expect(head.split(",").slice(0, 4)).toEqual(["study", "timestep_spacing", "arm", "solver"]);
    const json = JSON.parse(run("compare", at("study"), at("study"), "--measure", "dssim", "--json").stdout) as {
      measure: string;
      studies: { arms: { name: string; speedup: number; againstPlain: { ratio: number } }[] }[];
    };
    expect(json.studies.length).toBe(2);
    expect(json.studies[0].arms.find(({ name }) => name === "plain 6")).toMatchObject({
      speedup: 1,
      againstPlain: { ratio: 1, low: 1, high: 1 },
    });
  }, 240_000);

  it("takes adjustments, each beside the arm that it was fitted for; one of no arm is refused by name", () => {
    const schedule = ["schedule", at("p.safetensors"), "--delta", "1000", "--out", at("s1000.json")];
    expect(run(...schedule).stderr).toBe("");
    const adjust = ["adjust", model, "--schedule", at("s1000.json"), "--prompts", at("prompts.txt")];
    expect(run(...adjust, "--out", at("mended.safetensors")).stderr).toBe("");
    const swept = sweep("adjusted", "--deltas", "1000", "--adjustment", at("mended.safetensors"));
    expect(swept.stderr).toBe("");
    const compared = run("compare", at("adjusted"), "--csv", at("adjusted.csv"));
    expect(compared.stdout).toMatch(/^threshold δ 1000, transformers, hold, mended +17 %/m);
    expect(readFileSync(at("adjusted.csv"), "utf8")).toMatch(/,hold,[^,]*mended\.safetensors,/);
    const refused = sweep("never", "--deltas", "0", "--adjustment", at("mended.safetensors"));
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(/adjustment: mended: fitted for a schedule of threshold with 6 steps/);
    expect(existsSync(at("never"))).toBe(false);
  }, 240_000);

  it("takes schedules as arms, for another number of steps too, with a user's reuse rule; the profile's scheduler config is every arm's", () => {
    // Steps of Karras' spacing: a schedule of them fits no other run.
    const config = ["--scheduler-config", "timestep_spacing=trailing", "use_karras_sigmas=true"];
    for (const steps of ["6", "4"]) {
      const [profile, schedule] = [at(`karras-${steps}.safetensors`), at(`karras-${steps}.json`)];
      expect(
        run(
          "profile",
          model,
          "--prompts",
          at("prompts.txt"),
          "--steps",
          steps,
          "--solver",
          "dpmsolver++",
          ...config,
          "--out",
          profile,
        ).stderr,
      ).toBe("");
      expect(
        run(
          "schedule",
          profile,
          "--heuristic",
          "uniform",
          "--interval",
          "2",
          "--pin",
          "mid_block.**:3",
          "--out",
          schedule,
        ).stderr,
      ).toBe("");
    }
    expect(run("costs", model, "--samples", "1", "--rows", "6", "--out", at("costs.safetensors")).status).toBe(0);
    const swept = run(
      "sweep",
      model,
      "--profile",
      at("karras-6.safetensors"),
      "--schedule",
      at("karras-6.json"),
      at("karras-4.json"),
      "--reuse",
      `hold,${at("same.mjs")}`,
      "--costs",
      at("costs.safetensors"),
      "--prompts",
      at("prompts.txt"),
      "--plain-steps",
      "4",
      "--converged-steps",
      "12",
      "--out",
      at("given"),
      "--json",
    );
    expect({ status: swept.status, stderr: swept.stderr }).toEqual({ status: 0, stderr: "" });
    // Two prompts with guidance
    expect((JSON.parse(swept.stdout) as { warnings: string[] }).warnings).toContainEqual(
      expect.stringMatching(/costs were measured at 6 rows, and a batch here has 4/),
    );
    const { results } = JSON.parse(readFileSync(join(at("given"), "study.json"), "utf8")) as StudyResult;
    expect(results.map(({ arm: { name, steps } }) => [name, steps])).toEqual([
      ["plain 4", 4],
      ["plain 6", 6],
      ["karras-6, hold", 6],
      ["karras-6, same", 6],
      ["karras-4, hold", 4],
      ["karras-4, same", 4],
    ]);
    // The rule keeps one value and weighs it 1: it is hold.
    for (const first of [2, 4]) expect(results[first + 1].toConverged).toEqual(results[first].toConverged);
    expect(
      results[4].toConverged.latent.every(
        (distance, row) => distance > 0 && distance !== results[2].toConverged.latent[row],
      ),
    ).toBe(true);
    expect(results[2].arm.cached?.schedule.edits).toEqual([{ edit: "pin", blocks: "mid_block.**", evaluations: [3] }]);
    expect(JSON.parse(readFileSync(join(at("given"), "setting.json"), "utf8"))).toMatchObject({
      scheduler_config: { use_karras_sigmas: true },
      timestep_spacing: "trailing",
    });
    expect(run("plot", "pareto", at("given"), "--out", at("given.svg"))).toMatchObject({ status: 0, stderr: "" });
  }, 240_000);

  it("goes from a profile to a schedule and a study with the model's own scheduler config; an edited rule is another arm, and one with NaN fails alone", () => {
    const own = at("own.safetensors");
    expect(run("profile", model, ...profiled, "--out", own).stderr).toBe("");
    expect(run("schedule", own, "--delta", "1000", "--out", at("own.json")).stderr).toBe("");
    const distances = (out: string, weight: number) => {
      writeFileSync(at("weight.mjs"), `export default () => [${weight}];\n`);
      const options = [
        "--profile",
        own,
        "--schedule",
        at("own.json"),
        "--reuse",
        `hold,${at("weight.mjs")}`,
        "--seeds",
        "0,0",
      ];
      const { status, stderr, stdout } = sweep(out, ...options, "--json");
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      const study = JSON.parse(readFileSync(join(at(out), "study.json"), "utf8")) as StudyResult;
      const of = (name: string) => study.results.find(({ arm }) => arm.name === name)?.toConverged;
      return {
        study,
        hold: of("own, hold"),
        weight: of("own, weight"),
        warnings: (JSON.parse(stdout) as { warnings: string[] }).warnings,
      };
    };
    const first = distances("edited", 1);
    expect(first.weight).toEqual(first.hold);
    expect(first.study.timestep_spacing).toBe("leading");
    expect(first.study.trajectories.length).toBe(2);
    expect(first.warnings).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^2 of the trajectories are listed more than once/),
        expect.stringMatching(
          /^leading spacing, as the profile's: runs of 2, 4, 6, 12 steps start at different timesteps/,
        ),
      ]),
    );
    const [edited, fresh] = [distances("edited", 0.5), distances("fresh", 0.5)];
    expect(edited.weight).toEqual(fresh.weight);
    expect(edited.weight).not.toEqual(first.weight);
    expect(edited.hold).toEqual(first.hold);
    const large = distances("edited", 3e38);
    expect(large.weight).toBeUndefined();
    expect(large.hold).toEqual(first.hold);
    expect(large.warnings).toContainEqual(
      expect.stringMatching(
        /^"own, weight" failed: sampling: evaluation 1: the network's output at timestep \d+: expected finite numbers, found/,
      ),
    );
    expect(run("compare", at("edited")).stdout).toMatch(/warning: "own, weight" failed: /);
  }, 240_000);

  it.each([
    [
      ["--timestep-spacing", "leading"],
      1,
      /--timestep-spacing: expected trailing, as .* — `blockcache profile --scheduler-config timestep_spacing=leading` measures one for it/,
    ],
    [["--steps", "5"], 1, /--steps: expected 6, as .*p\.safetensors was measured, found 5/],
    [["--kinds", "transformer+attention"], 2, /--kinds: expected all, or conv_in/],
    [["--heuristic", "./nothing.mjs"], 1, /nothing\.mjs: expected a JavaScript module/],
    [["--values", "unifrom=2"], 2, /--values: expected heuristics of this sweep \(threshold\), found "unifrom"/],
    [["--heuristic", "uniform", "--deltas", "0.1"], 2, /--deltas: no heuristic of this sweep has a δ \(uniform\)/],
    [["--heuristic", at("bare.mjs")], 2, /--heuristic: bare does not say which option a sweep varies/],
    [["--reuse", "hold,lineer"], 2, /found "lineer"/],
    [["--schedule", at("nowhere.json")], 1, /nowhere\.json: expected a JSON file/],
    [["--costs", at("other-costs.safetensors")], 1, /costs: expected those of sd2-like, found another model's/],
    [["--redis", "redis://127.0.0.1:1"], 1, /redis:\/\/127\.0\.0\.1:1 does not answer/],
  ])(
    "%j is refused in one line",
    (more, code, message) => {
      const { status, stderr } = sweep("refused", ...more);
      expect(status).toBe(code);
      expect(stderr).toMatch(message);
      expect(stderr).not.toMatch(/\n\s+at /);
      expect(existsSync(join(at("refused"), "study.json"))).toBe(false);
    },
    120_000,
  );

  it("compare says what is missing", () => {
    const { status, stderr } = run("compare", at("nowhere"));
    expect([status, stderr]).toEqual([1, expect.stringMatching(/nowhere: expected a JSON file/)]);
  });
});
