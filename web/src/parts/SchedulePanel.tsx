import { useSignal } from "@preact/signals";
import type { BlockKind, Prediction } from "blockcache/planning";
import { kindName } from "../blockView.js";
import { bytes, percent, seconds, times } from "../format.js";
import { save } from "../save.js";
import {
  ask,
  edit,
  fits,
  measured,
  model,
  newStroke,
  other,
  otherPrediction,
  plan,
  prediction,
  progress,
  schedule,
} from "../store.js";
import { GRID_KEYS, ScheduleGrid } from "./ScheduleGrid.js";
import type { Brush } from "./ScheduleGrid.js";

const BRUSHES: readonly (readonly [Brush, string])[] = [
  ["toggle", "Toggle"],
  ["compute", "Compute"],
  ["reuse", "Reuse"],
  ["clear", "Give back"],
];

/** The schedule as a grid, what it is predicted to save, and the brush that paints it. */
export function SchedulePanel() {
  const brush = useSignal<Brush>("toggle");
  const kept = other.value;
  const isPainted = Object.keys(plan.value?.cells ?? {}).length > 0;
  const kinds = [...new Set(model.value?.blocks.map(({ kind }) => kind))];
  const paintKind = (kind: BlockKind): void => {
    const found = schedule.value;
    const blocks = model.value?.blocks.filter((each) => each.kind === kind).map(({ id }) => id) ?? [];
    if (found === undefined) return;
    const evaluations = [...found.timesteps.keys()];
    const computes = blocks.some((id) => (found.blocks[id]?.length ?? evaluations.length) < evaluations.length);
    const mark = brush.value === "toggle" ? (computes ? "compute" : "reuse") : brush.value;
    edit({ kind: "paint", mark, blocks, evaluations }, newStroke());
  };
  return (
    <section class="schedule" aria-labelledby="schedule-title">
      <div class="title">
        <h2 id="schedule-title">When blocks compute</h2>
        <Predicted label={kept === undefined ? "predicted" : "A predicted"} prediction={prediction.value} />
        {kept !== undefined && (
          <Predicted
            label={fits(kept.schedule) ? "B predicted" : "B: of other evaluations"}
            prediction={otherPrediction.value}
          />
        )}
      </div>
      <div class="tools">
        <div role="radiogroup" aria-label="Brush" class="brushes">
          {BRUSHES.map(([each, name]) => (
            <label key={each} class={brush.value === each ? "chosen" : ""}>
              <input type="radio" name="brush" checked={brush.value === each} onChange={() => (brush.value = each)} />
              {name}
            </label>
          ))}
        </div>
        <select
          aria-label="Paint a whole kind of block"
          value=""
          onChange={({ currentTarget: select }) => {
            if (select.value !== "") paintKind(select.value as BlockKind);
            select.value = "";
          }}
        >
          <option value="">whole kind …</option>
          {kinds.map((kind) => (
            <option key={kind} value={kind}>
              {kindName(kind)}
            </option>
          ))}
        </select>
        <button
          class="small"
          disabled={!isPainted}
          onClick={() =>
            edit({
              kind: "paint",
              mark: "clear",
              blocks: Object.keys(plan.value?.cells ?? {}),
              evaluations: [
                ...new Set(Object.values(plan.value?.cells ?? {}).flatMap((marks) => Object.keys(marks).map(Number))),
              ],
            })
          }
        >
          Clear paint
        </button>
        <button
          class="small"
          disabled={schedule.value === undefined}
          onClick={() =>
            document
              .querySelector<HTMLCanvasElement>(".grid canvas")
              ?.toBlob((picture) => picture !== null && save(picture, "schedule.png"))
          }
        >
          Save picture
        </button>
        {kept === undefined ? (
          <button
            class="small"
            disabled={schedule.value === undefined}
            onClick={() => ask({ command: "other", do: "keep" })}
          >
            Keep as B
          </button>
        ) : (
          <button class="small" onClick={() => ask({ command: "other", do: "drop" })}>
            Drop B
          </button>
        )}
      </div>
      {schedule.value === undefined ? (
        <p class="waiting" role="status">
          {measured.value === undefined
            ? `Measuring how blocks change and what they cost for these settings, once. ${progress.value ? `${progress.value.done} of ${progress.value.total}` : ""}`
            : "No schedule: see the settings at the left."}
        </p>
      ) : (
        <ScheduleGrid brush={brush.value} />
      )}
      <p class="keys">{GRID_KEYS}</p>
    </section>
  );
}

function Predicted({ label, prediction: found }: { readonly label: string; readonly prediction?: Prediction }) {
  return (
    <dl class="predicted" aria-label={label}>
      <dt>{label}</dt>
      <dd class="speedup">{found === undefined ? "–" : times(found.speedup)}</dd>
      <dd>{found === undefined ? "–" : `${seconds(found.seconds)} of ${seconds(found.plainSeconds)}`}</dd>
      <dd>{found === undefined ? "–" : `cache ${bytes(found.cacheBytes)}`}</dd>
      <dd>{found === undefined ? "–" : `${percent(found.computedShare)} of cells compute`}</dd>
    </dl>
  );
}
