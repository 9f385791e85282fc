import { randomUUID } from "node:crypto";
import { inJupyter, writeDisplay } from "./jupyter.js";

/** Progress of one piece of work in a notebook: bar, rate and time left, updated in place. */
export interface NotebookProgress {
  readonly update: (done: number, total: number) => void;
  readonly stop: () => void;
}

const MILLISECONDS_BETWEEN_UPDATES = 200;

/** A bar in the running cell; nothing outside Jupyter. */
export function notebookProgress(label: string, unit: string): NotebookProgress {
  const displayId = randomUUID();
  let first: { readonly time: number; readonly done: number } | undefined;
  let shown = 0;
  let counted = "";
  const write = (html: string, text: string): void =>
    writeDisplay({ "text/html": html, "text/plain": text }, displayId, shown > 0);
  return {
    update(done, total) {
      if (!inJupyter()) return;
      const now = performance.now();
      first ??= { time: now, done };
      const seconds = (now - first.time) / 1000;
      const rate = seconds > 0 ? (done - first.done) / seconds : 0;
      const left = rate > 0 ? `, ${formatSeconds((total - done) / rate)} left` : "";
      counted = `${label}: ${done}/${total} ${unit}`;
      if (shown > 0 && now - shown < MILLISECONDS_BETWEEN_UPDATES && done < total) return;
      const text = `${counted}, ${rate.toFixed(1)}/s${left}`;
      write(`<div><progress max="${total}" value="${done}" style="width:16em"></progress> ${text}</div>`, text);
      shown = now;
    },
    stop() {
      // Without the time it took: a notebook that is executed again differs only where its results do.
      if (shown > 0) write(`<div>${counted}</div>`, counted);
    },
  };
}

function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}
