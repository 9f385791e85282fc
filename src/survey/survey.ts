/** A blind study of two settings of an evaluation: which picture do people like better? */
import { existsSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { ArgumentError, InvalidFileError } from "../errors.js";
import { requireWritableFolder } from "../files/outputPlace.js";
import { loadEvaluation, pictureName } from "../study/evaluation/index.js";
import type { Evaluation } from "../study/evaluation/index.js";
import { surveyResult } from "./results.js";
import type { SurveyResult } from "./results.js";
import { trialsOf } from "./trials.js";
import type { Side, Trial } from "./trials.js";
import { addVote, allVotes, votesOf } from "./votes.js";
import type { Vote } from "./votes.js";

/** How far a rater has got. */
export interface Standing {
  readonly done: number;
  readonly total: number;
  /** absent once all are done */
  readonly next?: { readonly index: number; readonly prompt: string };
}

/** A ballot as it comes from the page: sides, not settings. */
export interface Ballot {
  readonly rater: string;
  readonly index: number;
  readonly choice: "left" | "right" | "tie";
  readonly seconds: number;
}

/** Settings whose speeds differ by more than this share are not of equal latency. */
const EQUAL_LATENCY = 0.1;

/** An attention check's spoilt picture is this many pixels wide and high. */
const SPOILT_PIXELS = 4;

function votesFolder(folder: string, a: string, b: string): string {
  return join(folder, "survey", `${a} vs ${b}`);
}

export class Survey {
  readonly a: string;
  readonly b: string;
  readonly prompts: readonly string[];
  /** for whoever starts the survey; absent where the two settings are about equally fast */
  readonly warning: string | undefined;
  readonly #folder: string;
  readonly #votes: string;
  readonly #queue = new Map<string, Promise<unknown>>();

  private constructor(folder: string, { trajectories, settings }: Evaluation, a: string, b: string) {
    this.#folder = folder;
    this.#votes = votesFolder(folder, a, b);
    this.a = a;
    this.b = b;
    this.prompts = trajectories.map(({ prompt }) => prompt);
    const [fast, slow] = [a, b].map((name) => settings.find(({ arm }) => arm.name === name)?.speedup.value ?? NaN);
    const ratio = fast / slow;
    this.warning =
      Math.abs(Math.log(ratio)) > Math.log(1 + EQUAL_LATENCY)
        ? `${a} is ${ratio.toFixed(2)} times as fast as ${b}: votes compare settings fairly at equal latency`
        : undefined;
  }

  /**
   * Opens an evaluation's folder for a study of two of its settings; votes that are already there are kept, whichever
   * of the two was `a` then.
   *
   * @throws ArgumentError for names that it does not have; InvalidFileError where it, or a picture, is missing
   */
  static async open(folder: string, a: string, b: string): Promise<Survey> {
    const evaluation = await loadEvaluation(folder);
    const names = evaluation.settings.map(({ arm }) => arm.name);
    for (const [option, name] of [
      ["a", a],
      ["b", b],
    ])
      if (!names.includes(name))
        throw new ArgumentError(`${option}: expected one of ${names.join(", ")}, found "${name}"`);
    if (a === b) throw new ArgumentError(`b: expected another setting than a, found "${b}" for both`);
    for (const name of [a, b])
      for (const trajectory of evaluation.trajectories.keys()) {
        const file = join(folder, name, pictureName(trajectory));
        if (!existsSync(file))
          throw new InvalidFileError({
            file,
            found: "no such file",
            expected: "a picture",
            hint: "run `blockcache evaluate` again: it makes what is missing",
          });
      }
    // Votes are for "a" or "b": a survey that was begun with the two the other way round goes on as it was begun.
    const isBegun = (first: string, second: string): boolean => existsSync(votesFolder(folder, first, second));
    const [first, second] = isBegun(b, a) && !isBegun(a, b) ? [b, a] : [a, b];
    return new Survey(folder, evaluation, first, second);
  }

  /** Finds out, before anyone is asked, that votes can be kept. Throws ArgumentError where they cannot. */
  requireWritable(): Promise<void> {
    return requireWritableFolder(this.#votes);
  }

  /** Throws ArgumentError for what cannot name a rater. */
  async standingOf(rater: string): Promise<Standing> {
    const votes = await votesOf(this.#votes, rater);
    const trials = this.#trials(rater);
    const next: Trial | undefined = trials[votes.length];
    return {
      done: votes.length,
      total: trials.length,
      ...(next === undefined ? {} : { next: { index: next.index, prompt: this.prompts[next.trajectory] } }),
    };
  }

  /**
   * Keeps a vote; it is on the disk when this resolves. A ballot for any trial but the next, such as one sent twice,
   * changes nothing.
   */
  async vote({ rater, index, choice, seconds }: Ballot): Promise<Standing> {
    // One after the other for each rater: two windows must not both answer the same trial.
    const before = this.#queue.get(rater) ?? Promise.resolve();
    const work = before
      .catch(() => undefined)
      .then(async () => {
        const { next } = await this.standingOf(rater);
        if (next?.index !== index) return;
        const { kind, trajectory, left } = this.#trials(rater)[index];
        const vote: Vote = {
          ...{ rater, index, kind, trajectory, left, seconds },
          choice: choice === "tie" ? "tie" : (choice === "left") === (left === "a") ? "a" : "b",
          at: new Date().toISOString(),
        };
        await addVote(this.#votes, vote);
      });
    this.#queue.set(rater, work);
    await work;
    return this.standingOf(rater);
  }

  /**
   * The PNG of one side of a trial, without the text that names its setting. Throws ArgumentError where there is no
   * such trial.
   */
  async picture(rater: string, index: number, place: "left" | "right"): Promise<Buffer> {
    const trial: Trial | undefined = this.#trials(rater)[index];
    if (trial === undefined) throw new ArgumentError(`trial: expected one of the rater's, found ${index}`);
    const side: Side = (place === "left") === (trial.left === "a") ? "a" : "b";
    const isCheck = trial.kind === "attention";
    const setting = isCheck || side === "a" ? this.a : this.b;
    const path = join(this.#folder, setting, pictureName(trial.trajectory));
    if (!isCheck || side === "a") return sharp(path).png().toBuffer();
    const { width, height } = await sharp(path).metadata();
    const spoilt = await sharp(path).resize(SPOILT_PIXELS, SPOILT_PIXELS, { fit: "fill" }).png().toBuffer();
    return sharp(spoilt).resize(width, height, { fit: "fill", kernel: "nearest" }).png().toBuffer();
  }

  async votes(): Promise<Vote[]> {
    return allVotes(this.#votes);
  }

  async result(): Promise<SurveyResult> {
    return surveyResult(this.a, this.b, await this.votes(), this.prompts);
  }

  #trials(rater: string): Trial[] {
    return trialsOf(`${this.a}\n${this.b}`, rater, this.prompts.length);
  }
}
