import { useSignal } from "@preact/signals";
import type { JudgedPoint } from "../../../src/live/document.js";
import { seconds } from "../format.js";
import { ask, judged, measurements, restore, setSettings, settings } from "../store.js";
import { Choice, NumberField } from "./fields.js";
import { ParetoPlot } from "./ParetoPlot.js";

export type TimeAxis = "measured" | "predicted" | "evaluations";

/** Error against time over a set of prompts and seeds; a point brings back its schedule. */
export function JudgePanel() {
  const axis = useSignal<TimeAxis>("measured");
  const set = judged.value;
  if (set === undefined) return null;
  const wanted = set.prompts.length * set.seeds.length;
  const isOpen = set.points.some(({ results, problem }) => problem === undefined && results.length < wanted);
  const isMeasured = measurements.value !== undefined;
  return (
    <div class="judge">
      <label class="field tall">
        <span>Prompts, one a line</span>
        <textarea
          rows={2}
          value={set.prompts.join("\n")}
          onChange={({ currentTarget: field }) => {
            const prompts = field.value.split("\n").filter((line) => line.trim() !== "");
            if (prompts.length > 0) ask({ command: "judgedSet", values: { prompts } });
            else field.value = set.prompts.join("\n");
          }}
        />
      </label>
      <div class="pair">
        <label class="field">
          <span>Seeds</span>
          <input
            value={set.seeds.join(", ")}
            onChange={({ currentTarget: field }) => {
              const seeds = field.value.split(",").map(Number);
              if (seeds.every((seed) => Number.isSafeInteger(seed) && seed >= 0))
                ask({ command: "judgedSet", values: { seeds } });
              else field.value = set.seeds.join(", ");
            }}
          />
        </label>
        <NumberField
          label="Reference steps"
          value={set.convergedSteps}
          min={1}
          max={1000}
          onValue={(convergedSteps) => ask({ command: "judgedSet", values: { convergedSteps } })}
        />
      </div>
      <div class="run">
        <button disabled={!isMeasured} onClick={() => ask({ command: "judge", add: "this" })}>
          Judge this schedule
        </button>
        <button
          disabled={!isMeasured}
          title="A point for each of the values that a sweep of this heuristic tries"
          onClick={() => ask({ command: "judge", add: "values" })}
        >
          … a range of it
        </button>
        <button
          disabled={!isMeasured}
          title="Without caching: as many steps, and fewer"
          onClick={() => ask({ command: "judge", add: "plain" })}
        >
          Plain runs
        </button>
      </div>
      <div class="run">
        <button disabled={!set.runs && !isOpen} onClick={() => ask({ command: "judging", on: !set.runs })}>
          {set.runs ? "Pause" : "Go on"}
        </button>
        <button disabled={set.points.length === 0} onClick={() => ask({ command: "forgetPoints" })}>
          Forget all
        </button>
        <Choice
          label="Time"
          value={axis.value}
          choices={[
            ["measured", "measured"],
            ["predicted", "predicted"],
            ["evaluations", "evaluations"],
          ]}
          onValue={(value) => (axis.value = value as TimeAxis)}
        />
      </div>
      <ParetoPlot points={set.points} axis={axis.value} onPoint={bringBack} />
      <table>
        <caption class="unseen">points of error against time</caption>
        <thead>
          <tr>
            <th scope="col">setting</th>
            <th scope="col">error</th>
            <th scope="col">time</th>
            <th scope="col">runs of {wanted}</th>
          </tr>
        </thead>
        <tbody>
          {set.points.map((point) => (
            <tr key={point.id}>
              <th scope="row">
                <button
                  class="link"
                  disabled={point.plan === undefined}
                  title="Bring back this schedule"
                  onClick={() => bringBack(point)}
                >
                  {point.label}
                </button>
                {point.problem !== undefined && <p class="fault">{point.problem}</p>}
              </th>
              <td>{point.results.length === 0 ? "–" : mean(point.results.map(({ error }) => error)).toPrecision(3)}</td>
              <td>
                {point.results.length === 0
                  ? `(${seconds(point.predictedSeconds)})`
                  : seconds(mean(point.results.map((each) => each.seconds)))}
              </td>
              <td>{point.results.length}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The schedule behind a point, with the evaluations that it is for. */
function bringBack({ plan, settings: judgedSettings }: JudgedPoint): void {
  const current = settings.value;
  if (plan === undefined || current === undefined) return;
  const { solver, schedulerConfig, steps, guidanceScale, height, width, negativePrompt } = judgedSettings;
  const wanted = { solver, schedulerConfig, steps, guidanceScale, height, width, negativePrompt };
  const now = Object.fromEntries(Object.keys(wanted).map((key) => [key, current[key as keyof typeof wanted]]));
  if (JSON.stringify(now) !== JSON.stringify(wanted)) setSettings(wanted);
  restore(plan);
}
