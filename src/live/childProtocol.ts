/** What a worker process and the one that started it tell each other. */
import type { LoadOptions } from "../diffusion/pipeline.js";
import type { JobKind } from "./worker.js";

export type ToChild =
  | {
      readonly open: string;
      readonly options: Pick<LoadOptions, "device" | "precision" | "tf32" | "threads" | "config">;
    }
  | { readonly job: number; readonly kind: JobKind; readonly input: unknown }
  | { readonly abort: number };

export type FromChild =
  | { readonly loading: string }
  | { readonly ready: true }
  | { readonly refused: string }
  | { readonly job: number; readonly event: unknown }
  | { readonly job: number; readonly result: unknown }
  | { readonly job: number; readonly problem: string; readonly interrupted: boolean };
