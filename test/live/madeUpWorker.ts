/** A worker without a model: what it is asked is written down, and answered at once or when told. */
import { InterruptedError } from "../../src/errors.js";
import type { Measurements } from "../../src/planning/plan.js";
import type { JobKind, Jobs, LiveWorker, ModelDescription, WorkerState } from "../../src/live/worker.js";
import { costsOf, profileOf } from "../caching/madeUp.js";

/** A model of so many transformers, and what was measured of it at so many evaluations. */
export function madeUpModel(
  blocks: number,
  evaluations: number,
): { readonly model: ModelDescription; readonly measurements: Measurements } {
  const profile = profileOf([
    Array.from({ length: blocks }, (_, block) =>
      Array.from({ length: evaluations }, (_, step) => (0.2 * (block + 1)) / blocks + 0.01 * step),
    ),
  ]);
  return {
    measurements: { profile, costs: costsOf(profile, [0.02, 0.01], true) },
    model: {
      name: "made up",
      fingerprint: "sha256:0",
      device: "cpu",
      precision: "float32",
      blocks: profile.blocks.map(({ id, kind, resolution }) => ({
        id,
        kind,
        resolution,
        shape: [4, 8, 8],
        channels: 4,
        bytes: 1024,
        parameters: 10,
        sharedParameters: 0,
        multiplyAdds: 10,
        cacheable: true,
      })),
      following: profile.blocks.map(({ id }) => id),
      solvers: ["ddim"],
      settings: {
        prompt: "a",
        negativePrompt: "",
        seed: 0,
        solver: "ddim",
        schedulerConfig: {},
        steps: evaluations,
        guidanceScale: 5,
        height: 64,
        width: 64,
      },
      pixelsOfLatent: 8,
    },
  };
}

const small = madeUpModel(4, 8);
export const { measurements } = small;
export const { profile } = measurements;

const PICTURE = "data:image/png;base64,AAAA";
const image = { width: 1, height: 1, rgb: Uint8Array.of(1, 2, 3) };

export interface MadeUpWorker extends LiveWorker {
  /** the kinds of jobs that were asked for, and what became of them */
  readonly log: string[];
  /** what each was given */
  readonly inputs: unknown[];
  become(state: WorkerState): void;
  /** the comparisons that wait, until they are let go */
  holds: boolean;
  letGo(): void;
  fail(error: Error): void;
}

export function madeUpWorker({ model, measurements } = small): MadeUpWorker {
  const log: string[] = [];
  const inputs: unknown[] = [];
  const listeners: ((state: WorkerState) => void)[] = [];
  let waiting: { resolve(): void; reject(error: Error): void }[] = [];
  const results: { readonly [Kind in JobKind]: () => Jobs[Kind]["result"] } = {
    describe: () => model,
    measure: () => measurements,
    compare: () => ({
      plain: { picture: PICTURE, image, seconds: 2 },
      cached: { picture: PICTURE, image, seconds: 1 },
      plainKept: false,
      difference: PICTURE,
      speedup: 2,
      psnr: 30,
    }),
    strip: () => ({ block: "b", evaluations: [0], timesteps: [999], pictures: [PICTURE] }),
    judge: () => ({ error: 0.1, seconds: 1, evaluations: model.settings.steps }),
  };
  const worker: MadeUpWorker = {
    log,
    inputs,
    holds: false,
    become: (state) => listeners.forEach((listener) => listener(state)),
    letGo() {
      waiting.splice(0).forEach(({ resolve }) => resolve());
    },
    fail(error) {
      waiting.splice(0).forEach(({ reject }) => reject(error));
    },
    async run(kind, input, { signal } = {}) {
      inputs.push(input);
      log.push(kind);
      if (worker.holds)
        await new Promise<void>((resolve, reject) => {
          waiting.push({ resolve, reject });
          signal?.addEventListener("abort", () => {
            log.push(`${kind} aborted`);
            waiting = [];
            reject(new InterruptedError(kind));
          });
        });
      return results[kind]();
    },
    watch(listener) {
      listeners.push(listener);
      listener({ state: "ready" });
    },
    close: async () => undefined,
  };
  return worker;
}
