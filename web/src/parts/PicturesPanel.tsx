import type { Comparison, RunView } from "../../../src/live/document.js";
import type { RunName } from "../../../src/live/worker.js";
import { seconds, times } from "../format.js";
import { savePicture } from "../save.js";
import { adjustment, comparison, pictures, settings } from "../store.js";

/** The cached picture beside the plain one, their difference, and what was measured. */
export function PicturesPanel() {
  const run = comparison.value;
  const size = settings.value ?? { width: 1, height: 1 };
  const shape = { aspectRatio: `${size.width} / ${size.height}` };
  return (
    <div class="pictures">
      <Banner run={run} />
      <div class="row">
        {(["plain", "cached"] as const).map((name) => (
          <Picture
            key={name}
            name={name}
            shape={shape}
            view={run?.[name]}
            picture={pictures.value?.[name]}
            note={noteOf(run, name)}
            isStale={run?.stale === true}
          />
        ))}
      </div>
      <div class="row">
        <Picture
          name="difference"
          shape={shape}
          view={run?.cached}
          picture={pictures.value?.difference}
          note="|cached − plain| × 4"
          isStale={run?.stale === true}
        />
        <dl class="measured">
          <dt>measured</dt>
          <dd class="speedup">{run?.speedup === undefined ? "–" : times(run.speedup)}</dd>
          <dt>predicted</dt>
          <dd>{run === undefined ? "–" : times(run.predictedSpeedup)}</dd>
          <dt>plain</dt>
          <dd>
            {run?.plain.seconds === undefined ? "–" : `${seconds(run.plain.seconds)}${run.plainKept ? " (kept)" : ""}`}
          </dd>
          <dt>cached</dt>
          <dd>{run?.cached.seconds === undefined ? "–" : seconds(run.cached.seconds)}</dd>
          {adjustment.value !== undefined && (
            <>
              <dt>scale-shift</dt>
              <dd>{run === undefined ? "–" : run.adjusted ? "on" : "off"}</dd>
            </>
          )}
          <dt>PSNR</dt>
          <dd>{run?.psnr === undefined ? "–" : run.psnr === null ? "equal" : `${run.psnr.toFixed(1)} dB`}</dd>
        </dl>
      </div>
    </div>
  );
}

/** Says what the pictures are: computing, finished, stopped, stale. */
function Banner({ run }: { readonly run: Comparison | undefined }) {
  const text =
    run === undefined
      ? "Nothing sampled yet."
      : run.state === "computing"
        ? "Computing …"
        : run.state === "failed"
          ? `Failed: ${run.problem}`
          : run.stale
            ? "Stale: settings or schedule have changed since."
            : run.state === "stopped"
              ? "Stopped."
              : "Finished, with the settings shown.";
  return (
    <p class={`banner ${run?.stale ? "stale" : (run?.state ?? "")}`} role="status">
      {text}
    </p>
  );
}

function noteOf(run: Comparison | undefined, name: RunName): string {
  const view = run?.[name];
  if (run === undefined || view === undefined) return "–";
  if (view.final) return name === "plain" && run.plainKept ? "finished before" : "finished";
  if (view.step > 0) return `step ${view.step} of ${view.total}`;
  return run.state === "computing" && pictures.value?.[name] !== undefined ? "of the run before" : "–";
}

interface PictureProps {
  readonly name: string;
  readonly shape: { readonly aspectRatio: string };
  readonly view: RunView | undefined;
  readonly picture: string | undefined;
  readonly note: string;
  readonly isStale: boolean;
}

function Picture({ name, shape, view, picture, note, isStale }: PictureProps) {
  // Until a run's first step its place shows the one before.
  const isOld = isStale || view === undefined || (!view.final && (view.step === 0 || name === "difference"));
  return (
    <figure>
      <div class="frame" style={shape}>
        {picture !== undefined && (
          <img
            src={picture}
            alt={`${name}: ${note}${isOld ? ", stale" : ""}`}
            class={`${view?.final ? "" : "coarse"} ${isOld ? "old" : ""}`}
          />
        )}
      </div>
      <figcaption>
        <span>
          <strong>{name === "difference" ? "" : name}</strong> {note}
        </span>
        <button
          class="small"
          disabled={picture === undefined || !view?.final}
          aria-label={`Save the picture: ${name}`}
          onClick={() => picture !== undefined && savePicture(picture, `${name}.png`)}
        >
          Save
        </button>
      </figcaption>
    </figure>
  );
}
