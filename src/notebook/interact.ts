/** A function of a cell, run again whenever one of its inputs moves. */
import { z } from "zod";
import { ArgumentError, InterruptedError } from "../errors.js";
import { parseChecked } from "../live/schemas.js";
import { limited } from "../server/explorerServer.js";
import { servePage } from "../server/pageServer.js";
import type { Input } from "./inputs.js";
import { pageFrame } from "./pageFrame.js";
import { escapeHtml } from "./show/escapeHtml.js";
import { display } from "./show/show.js";
import type { Shown } from "./show/show.js";

/** The values of inputs, as the function is given them. */
export type InputValues<Inputs extends Readonly<Record<string, Input>>> = {
  readonly [Name in keyof Inputs]: Inputs[Name]["value"];
};

export interface Interaction<Values> {
  readonly url: string;
  readonly values: Values;
  /** Ends the inputs, and the run under way. */
  close(): Promise<void>;
}

/** Long enough for a slider's way, short enough to feel at once. */
const DEBOUNCE_MILLISECONDS = 120;
const INPUT_PIXELS = 38;
const VALUES_BYTES = 2 ** 16;

/**
 * Shows inputs in the running cell, and below them what `work` returns for their values: a figure, pictures, a table.
 * A move aborts the run before, waits for its end, and runs again with the newest values:
 * `await interact({ delta: slider(0, 1), prompt: text("rocket") }, async ({ delta, prompt }, { signal }) => …)`.
 *
 * @param work is given the values, and a signal that the next move aborts: pass it on
 * @throws ArgumentError where the page is not built
 */
export async function interact<const Inputs extends Readonly<Record<string, Input>>>(
  inputs: Inputs,
  work: (values: InputValues<Inputs>, run: { readonly signal: AbortSignal }) => unknown,
): Promise<Interaction<InputValues<Inputs>>> {
  const schema = z.strictObject(
    Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, schemaOf(input)])),
  );
  let values = Object.fromEntries(
    Object.entries(inputs).map(([name, { value }]) => [name, value]),
  ) as unknown as InputValues<Inputs>;
  let shown: Shown | undefined;
  const tell = async (value: unknown): Promise<void> => {
    if (shown === undefined) shown = await display(value);
    else await shown.update(value);
  };
  const runs = latestOnly(async (signal) => {
    try {
      const value = await work(values, { signal });
      if (value !== undefined && !signal.aborted) await tell(value);
    } catch (error) {
      if (error instanceof InterruptedError && signal.aborted) return;
      await tell({ html: `<div>${escapeHtml(error instanceof Error ? error.message : String(error))}</div>` });
    }
  });
  let timer: NodeJS.Timeout | undefined;
  const server = await servePage({
    page: "inputs.html",
    inFrame: true,
    routes(app) {
      app.get("/api/inputs", (context) => context.json({ inputs, values }));
      app.post("/api/values", limited(VALUES_BYTES), async (context) => {
        values = parseChecked(schema, await context.req.text(), "values") as unknown as InputValues<Inputs>;
        clearTimeout(timer);
        timer = setTimeout(() => void runs.start(), DEBOUNCE_MILLISECONDS);
        return context.body(null, 204);
      });
    },
  });
  const names = Object.entries(values).map(([name, value]) => `${name} = ${String(value)}`);
  const height = Object.keys(inputs).length * INPUT_PIXELS + 16;
  const frame = await pageFrame(server.url, height, "inputs");
  await frame.update(
    undefined,
    `${names.join(", ")}. These inputs are alive while the kernel runs: run the cell again.`,
  );
  await runs.start();
  return {
    url: server.url,
    get values() {
      return values;
    },
    async close() {
      clearTimeout(timer);
      runs.stop();
      await server.close();
    },
  };
}

/** Runs a piece of work one at a time: a start aborts the run under way, and takes its turn when that has ended. */
function latestOnly(work: (signal: AbortSignal) => Promise<void>): { start(): Promise<void>; stop(): void } {
  let current = new AbortController();
  let before: Promise<void> = Promise.resolve();
  return {
    start() {
      current.abort();
      const controller = new AbortController();
      current = controller;
      before = before.then(() => (controller.signal.aborted ? undefined : work(controller.signal)));
      return before;
    },
    stop: () => current.abort(),
  };
}

function schemaOf(input: Input): z.ZodType {
  switch (input.kind) {
    case "slider":
      if (!(input.min < input.max))
        throw new ArgumentError(`slider: expected a range, found ${input.min} to ${input.max}`);
      return z.number().min(input.min).max(input.max);
    case "text":
      return z.string().max(10_000);
    case "choice":
      if (input.choices.length === 0) throw new ArgumentError("choice: expected at least one, found none");
      return z.enum([...input.choices]);
    case "check":
      return z.boolean();
  }
}
