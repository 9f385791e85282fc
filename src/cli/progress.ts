import cliProgress from "cli-progress";

/** A progress display for one piece of work. */
export interface Progress {
  readonly update: (done: number, total: number) => void;
  readonly stop: () => void;
}

/** Bar, rate and time left on standard error; nothing when that is not a terminal. */
export function createProgress(label: string, unit: string): Progress {
  if (!process.stderr.isTTY) return { update: () => undefined, stop: () => undefined };
  const bar = new cliProgress.SingleBar(
    {
      format: `${label} {bar} {value}/{total} ${unit} · {rate}/s · {eta_formatted} left`,
      stream: process.stderr,
      hideCursor: true,
      clearOnComplete: true,
      fps: 5,
    },
    cliProgress.Presets.shades_classic,
  );
  let first: { readonly time: number; readonly done: number } | undefined;
  return {
    update: (done, total) => {
      if (first === undefined) {
        first = { time: performance.now(), done };
        bar.start(total, done, { rate: "–" });
      }
      // The rate counts only this run's work: what was resumed took no time.
      const seconds = (performance.now() - first.time) / 1000;
      bar.update(done, { rate: seconds > 0 ? ((done - first.done) / seconds).toFixed(1) : "–" });
    },
    stop: () => {
      if (first !== undefined) bar.stop();
    },
  };
}
