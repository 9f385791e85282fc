/** The survey without a browser: order, votes on disk, results, and who may ask the server. */
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import sharp from "sharp";
import { afterAll, beforeEach, expect, test } from "vitest";
import { Survey, krippendorffAlpha, serveSurvey, surveyResult, trialsOf, votesCsv } from "../../src/survey/index.js";
import type { Vote } from "../../src/survey/index.js";
import { makeEvaluation } from "./madeUp.js";

const agreement = JSON.parse(readFileSync(new URL("../fixtures/agreement.json", import.meta.url), "utf8")) as {
  units: string[][];
  alpha: number;
}[];
const root = mkdtempSync(join(tmpdir(), "blockcache-survey-"));
afterAll(() => rmSync(root, { recursive: true }));
let folder: string;
let count = 0;
beforeEach(async () => {
  folder = join(root, String(count++));
  await makeEvaluation(folder, 12);
});

test.each(agreement)("Krippendorff's α equals PyPI's krippendorff: $alpha", ({ units, alpha }) => {
  expect(krippendorffAlpha(units, ["a", "tie", "b"])).toBeCloseTo(alpha, 12);
});

test("each rater sees every pair once, some again with sides changed, and checks; the order is always the same", () => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 60 }), (rater, trajectories) => {
      const trials = trialsOf("a b", rater, trajectories);
      expect(trialsOf("a b", rater, trajectories)).toEqual(trials);
      expect(trials.map(({ index }) => index)).toEqual([...trials.keys()]);
      const of = (kind: string) => trials.filter((trial) => trial.kind === kind);
      const pairs = of("pair");
      expect(pairs.map(({ trajectory }) => trajectory).sort((x, y) => x - y)).toEqual([...Array(trajectories).keys()]);
      expect(of("attention").length).toBeGreaterThan(0);
      expect(of("repeat").length).toBeGreaterThan(0);
      for (const repeat of of("repeat")) {
        const first = pairs.find(({ trajectory }) => trajectory === repeat.trajectory);
        expect(first?.left).not.toBe(repeat.left);
        expect(first?.index).toBeLessThan(repeat.index);
      }
    }),
  );
});

test("sides are even over many raters", () => {
  const lefts = Array.from({ length: 200 }, (_, rater) => trialsOf("a b", String(rater), 20))
    .flat()
    .map(({ left }) => left);
  const share = lefts.filter((left) => left === "a").length / lefts.length;
  expect(Math.abs(share - 0.5)).toBeLessThan(0.05);
});

test("the two settings may be given in either order: there is one survey of them", async () => {
  const survey = await Survey.open(folder, "plain", "cached");
  await survey.vote({ rater: "Ada", index: 0, choice: "left", seconds: 1 });
  const again = await Survey.open(folder, "cached", "plain");
  expect(await again.standingOf("Ada")).toMatchObject({ done: 1 });
  expect([again.a, again.b]).toEqual(["plain", "cached"]);
});

test("a vote is on disk when it is counted; what was cut off in a write is asked again; a ballot sent twice counts once", async () => {
  const survey = await Survey.open(folder, "plain", "cached");
  const first = await survey.standingOf("Ada");
  expect(first).toMatchObject({ done: 0, next: { index: 0 } });
  const ballot = { rater: "Ada", index: 0, choice: "left", seconds: 1.5 } as const;
  const both = await Promise.all([survey.vote(ballot), survey.vote(ballot)]);
  expect(both.map(({ done }) => done)).toEqual([1, 1]);
  const file = join(folder, "survey", "plain vs cached", "Ada.jsonl");
  expect(readFileSync(file, "utf8").trim().split("\n").length).toBe(1);
  appendFileSync(file, '{"rater":"Ada","ind');
  const again = await Survey.open(folder, "plain", "cached");
  expect((await again.standingOf("Ada")).done).toBe(1);
  await again.vote({ ...ballot, index: 1, choice: "tie" });
  expect((await again.votes()).map(({ index }) => index)).toEqual([0, 1]);
  appendFileSync(file, "no vote\n");
  await expect(again.standingOf("Ada")).rejects.toThrow(/Ada\.jsonl: line 3: expected a vote/);
});

test("pictures are blind: the settings' own, without the text that names them; a check spoils one", async () => {
  const survey = await Survey.open(folder, "plain", "cached");
  for (const trial of trialsOf("plain\ncached", "Ada", 12)) {
    const sides = await Promise.all(
      (["left", "right"] as const).map((side) => survey.picture("Ada", trial.index, side)),
    );
    for (const side of sides) expect(side.includes("setting")).toBe(false);
    const grey = await Promise.all(sides.map(async (png) => (await sharp(png).raw().toBuffer())[0]));
    const [a, b] = trial.left === "a" ? grey : [grey[1], grey[0]];
    // makeEvaluation's pictures begin with 10 + trajectory for plain, 100 + trajectory for cached.
    expect(a).toBe(10 + trial.trajectory);
    if (trial.kind !== "attention") expect(b).toBe(100 + trial.trajectory);
  }
});

const vote = (rater: string, trajectory: number, choice: Vote["choice"], kind: Vote["kind"] = "pair"): Vote => ({
  ...{ rater, trajectory, choice, kind, index: 0, left: "a", seconds: 1, at: "2026-01-01T00:00:00.000Z" },
});

test("wins, ties and losses with intervals; raters who do not look are left out; repeats", () => {
  const votes = [
    ...[0, 1, 2, 3, 4, 5].map((trajectory) => vote("Ada", trajectory, trajectory < 4 ? "b" : "a")),
    ...[0, 1, 2, 3].map((trajectory) => vote("Bob", trajectory, trajectory < 3 ? "b" : "tie")),
    ...[0, 1, 2, 3].map((trajectory) => vote("Eve", trajectory, "a")),
    vote("Ada", 0, "a", "attention"),
    vote("Eve", 0, "b", "attention"),
    vote("Ada", 1, "b", "repeat"),
    vote("Bob", 3, "a", "repeat"),
  ];
  const prompts = ["p", "q", "r", "s", "t", "u"];
  const result = surveyResult("plain", "cached", votes, prompts);
  expect(result).toMatchObject({ votes: 10, raters: ["Ada", "Bob"], excluded: ["Eve"], consistency: 0.5 });
  expect([result.a_wins.votes, result.ties.votes, result.b_wins.votes]).toEqual([2, 1, 7]);
  expect(result.b_wins.share).toBeCloseTo(0.7, 12);
  expect(result.b_wins.low).toBeLessThan(0.7);
  expect(result.b_wins.high).toBeGreaterThan(0.7);
  const lines = votesCsv("plain", "cached", votes, prompts).trim().split("\n");
  expect(lines.length).toBe(votes.length + 1);
  expect(lines[1]).toBe("Ada,0,pair,0,p,plain,cached,1,2026-01-01T00:00:00.000Z");
  expect(lines[15]).toMatch(/^Ada,0,attention,0,p,whole,whole/);
});

test("settings and raters that are none are refused; so is an unfinished evaluation", async () => {
  await expect(Survey.open(folder, "plain", "other")).rejects.toThrow(
    /b: expected one of plain, cached, found "other"/,
  );
  await expect(Survey.open(folder, "plain", "plain")).rejects.toThrow(/another setting than a/);
  const survey = await Survey.open(folder, "plain", "cached");
  for (const rater of ["", "../x", "a/b", "x".repeat(65)])
    await expect(survey.standingOf(rater)).rejects.toThrow(/rater: expected/);
  rmSync(join(folder, "cached", "00003.png"));
  await expect(Survey.open(folder, "plain", "cached")).rejects.toThrow(/00003\.png: expected a picture/);
  mkdirSync(join(root, "empty"));
  writeFileSync(join(root, "empty", "x"), "");
  await expect(Survey.open(join(root, "empty"), "a", "b")).rejects.toThrow(/evaluation\.json/);
  expect(survey.warning).toMatch(/plain is 1\.50 times as fast as cached/);
});

test("the server answers this machine's own page with its token, and nobody else", async () => {
  const server = await serveSurvey(await Survey.open(folder, "plain", "cached"));
  try {
    const { origin, port, searchParams } = new URL(server.url);
    const token = searchParams.get("token") ?? "";
    const ask = (
      path: string,
      headers: Record<string, string>,
      body?: string,
    ): Promise<{ status: number; text: string }> =>
      new Promise((resolve, reject) => {
        const sent = request(
          { host: "127.0.0.1", port, path, method: body === undefined ? "GET" : "POST", headers },
          (response) => {
            let text = "";
            response.on("data", (chunk) => (text += String(chunk)));
            response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
          },
        );
        sent.on("error", reject);
        sent.end(body);
      });
    const rater = JSON.stringify({ rater: "Ada" });
    const own = { "x-token": token, origin };
    expect((await ask(`/?token=${token}`, {})).status).toBe(200);
    expect((await ask("/standing", own, rater)).status).toBe(200);
    expect((await ask("/", {})).status).toBe(403);
    expect((await ask("/?token=wrong", {})).status).toBe(403);
    expect((await ask("/standing", { origin }, rater)).status).toBe(403);
    expect((await ask("/standing", { ...own, origin: "https://example.org" }, rater)).status).toBe(403);
    expect((await ask("/standing", { ...own, origin: "null" }, rater)).status).toBe(403);
    expect((await ask("/standing", { ...own, host: `evil.example:${port}` }, rater)).status).toBe(403);
    expect((await ask(`/picture?rater=Ada&index=0&side=left`, {})).status).toBe(403);
    const bad = JSON.stringify({ rater: "Ada", index: 0, choice: "both", seconds: 1 });
    expect(await ask("/vote", own, bad)).toMatchObject({ status: 400, text: expect.stringMatching(/choice/) });
    expect((await ask("/vote", own, "{")).status).toBe(400);
    expect((await ask("/vote", own, "x".repeat(10_000))).status).toBe(400);
    expect((await ask(`/../../package.json?token=${token}`, {})).status).toBe(404);
    expect(readdirSync(folder)).not.toContain("survey");
  } finally {
    await server.close();
  }
});
