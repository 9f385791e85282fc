import { HEURISTICS, PLANNED_KINDS, REUSE_RULES } from "blockcache/planning";
import type { Plan } from "blockcache/planning";
import { kindName } from "../blockView.js";
import {
  adjustment,
  edit,
  model,
  newStroke,
  ownHeuristics,
  ownRules,
  plan,
  planProblem,
  schedule,
  setPlan,
} from "../store.js";
import { Check, Choice, NumberField } from "./fields.js";
import { FileButton } from "./FileButton.js";
import { refusal } from "../store.js";
import { save } from "../save.js";

/** A heuristic as the picker needs it: the library's own have bounds without an end, and so may a user's. */
interface PickedHeuristic {
  readonly name: string;
  readonly parameter: string;
  readonly values: readonly number[];
  readonly bounds: readonly [least: number, greatest: number | null];
  readonly integer: boolean;
  readonly options?: readonly string[];
  readonly choices?: Readonly<Record<string, readonly string[]>>;
}

/** What finds the schedule, and what limits it. */
export function HeuristicControls() {
  const current = plan.value;
  if (current === undefined) return null;
  const own = ownHeuristics.value ?? [];
  const rules = ownRules.value ?? [];
  const all: readonly PickedHeuristic[] = [...HEURISTICS, ...own];
  const picked = all.find(({ name }) => name === current.heuristic);
  const choices = [
    ...(current.imported === undefined ? [] : [["", "schedule of a file"] as const]),
    ...HEURISTICS.map(({ name }) => [name, name] as const),
    ...own.map(
      ({ name, version, problem }) => [name, `${name} (yours, ${problem ? "faulty" : `version ${version}`})`] as const,
    ),
  ];
  const ownProblem = own.find(({ name }) => name === current.heuristic)?.problem;
  return (
    <section aria-labelledby="heuristic-title">
      <h2 id="heuristic-title">Schedule</h2>
      <Choice
        label="Heuristic"
        value={current.imported === undefined ? current.heuristic : ""}
        choices={choices}
        onValue={(name) => name !== "" && setPlan(firstOptions(all, name))}
      />
      {picked !== undefined && <Tuning plan={current} heuristic={picked} />}
      <p class="fault" role="alert">
        {planProblem.value ?? ownProblem}
      </p>
      <fieldset>
        <legend>Kinds that may be cached</legend>
        <div class="kinds">
          {PLANNED_KINDS.filter((kind) => model.value?.blocks.some((block) => block.kind === kind)).map((kind) => (
            <Check
              key={kind}
              checked={current.kinds.includes(kind)}
              onValue={(on) => {
                const kinds = PLANNED_KINDS.filter((each) => (each === kind ? on : current.kinds.includes(each)));
                if (kinds.length > 0) setPlan({ kinds });
                else refusal.value = "kinds: at least one must be allowed";
              }}
            >
              {kindName(kind)}
            </Check>
          ))}
        </div>
      </fieldset>
      <Choice
        label="Reuse rule"
        value={current.reuse}
        choices={[
          ...REUSE_RULES.map(({ name }) => [name, name] as const),
          ...rules.map(({ name }) => [name, `${name} (yours)`] as const),
          ...([...REUSE_RULES, ...rules].some(({ name }) => name === current.reuse)
            ? []
            : [[current.reuse, `${current.reuse} (not defined here)`] as const]),
        ]}
        onValue={(reuse) => setPlan({ reuse })}
      />
      <Adjusting plan={current} />
      <div class="pair">
        <NumberField
          label="First computed"
          value={current.ends.first}
          min={1}
          max={1000}
          onValue={(first) => setPlan({ ends: { ...current.ends, first } })}
        />
        <NumberField
          label="Last computed"
          value={current.ends.last}
          min={0}
          max={1000}
          onValue={(last) => setPlan({ ends: { ...current.ends, last } })}
        />
      </div>
      <div class="pair">
        <Check checked={current.maxAge !== undefined} onValue={(on) => setPlan({ maxAge: on ? 4 : null })}>
          limit age
        </Check>
        <NumberField
          label="Reuses in a row"
          value={current.maxAge ?? 4}
          min={0}
          max={1000}
          disabled={current.maxAge === undefined}
          onValue={(maxAge) => setPlan({ maxAge })}
        />
      </div>
      <div class="run">
        <FileButton label="Import schedule" accept=".json" onText={importSchedule} />
        <button
          disabled={schedule.value === undefined}
          onClick={() => save(`${JSON.stringify(schedule.value, undefined, 1)}\n`, "schedule.json")}
        >
          Export
        </button>
      </div>
    </section>
  );
}

/** Scale-shift on or off, where an adjustment is there. */
function Adjusting({ plan: current }: { readonly plan: Plan }) {
  const given = adjustment.value;
  if (given === undefined) return null;
  return (
    <>
      <Check checked={current.adjusted === true} onValue={(adjusted) => setPlan({ adjusted })}>
        scale-shift by {given.file.split("/").at(-1)}
      </Check>
      <p class="note" role="status">
        {current.adjusted && given.problem !== undefined && `Not applied: ${given.problem}`}
      </p>
    </>
  );
}

function importSchedule(text: string): void {
  try {
    // The session checks it.
    edit({ kind: "import", schedule: JSON.parse(text) });
  } catch {
    refusal.value = "schedule: expected JSON — a file of `blockcache schedule` or of Export";
  }
}

/** A heuristic with a middle value of its parameter, and its other options at their defaults. */
function firstOptions(all: readonly PickedHeuristic[], name: string): Pick<Plan, "heuristic" | "options"> {
  const found = all.find((each) => each.name === name);
  const { parameter = "", values = [], choices = {} } = found ?? {};
  const first = Object.fromEntries(Object.entries(choices).map(([option, [value]]) => [option, value]));
  return {
    heuristic: name,
    options: {
      ...first,
      ...(parameter === "" ? {} : { [parameter]: values[Math.floor((values.length - 1) / 2)] ?? 1 }),
    },
  };
}

function Tuning({ plan: current, heuristic }: { readonly plan: Plan; readonly heuristic: PickedHeuristic }) {
  const { parameter, values, bounds, integer, choices = {}, options = [] } = heuristic;
  const value = Number(current.options[parameter] ?? values[0] ?? 1);
  const [least, greatest] = bounds;
  const end =
    greatest !== null && Number.isFinite(greatest) ? greatest : Math.max(1, 2 * Math.max(...values, 0), value);
  const set = (next: number, stroke?: string): void =>
    setPlan({ options: { ...current.options, [parameter]: next } }, stroke);
  const isTarget = current.speedup !== undefined;
  // A heuristic that is tuned by a speed-up has no other parameter to find.
  const findsByItself = parameter === "speedup";
  return (
    <>
      {parameter !== "" && (
        <Slider
          label={parameter === "delta" ? "δ (delta)" : parameter}
          value={value}
          min={least}
          max={end}
          step={integer ? 1 : end / 200}
          disabled={isTarget || current.imported !== undefined}
          onValue={set}
        />
      )}
      {options
        .filter((option) => option in choices)
        .map((option) => (
          <Choice
            key={option}
            label={option}
            value={String(current.options[option] ?? choices[option][0])}
            choices={choices[option].map((each) => [each, each] as const)}
            onValue={(next) => setPlan({ options: { ...current.options, [option]: next } })}
          />
        ))}
      {!findsByItself && parameter !== "" && (
        <div class="pair">
          <Check checked={isTarget} onValue={(on) => setPlan({ speedup: on ? 1.3 : null })}>
            target speed-up
          </Check>
          <NumberField
            label="Times as fast"
            value={current.speedup ?? 1.3}
            min={1}
            max={100}
            step="any"
            disabled={!isTarget}
            onValue={(speedup) => setPlan({ speedup })}
          />
        </div>
      )}
    </>
  );
}

interface SliderProps {
  readonly label: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly step: number;
  readonly disabled: boolean;
  onValue(value: number, stroke?: string): void;
}

let stroke = newStroke();

/** A slider with its number beside it; one way of the slider is taken back as one. */
function Slider({ label, value, min, max, step, disabled, onValue }: SliderProps) {
  return (
    <div class="slider">
      <label>
        <span>{label}</span>
        <input
          type="range"
          {...{ value, min, max, step, disabled }}
          onPointerDown={() => (stroke = newStroke())}
          onKeyDown={() => (stroke = newStroke())}
          onInput={({ currentTarget }) => onValue(currentTarget.valueAsNumber, stroke)}
        />
      </label>
      <input
        type="number"
        aria-label={`${label}, as a number`}
        {...{ value, min, disabled }}
        step="any"
        onChange={({ currentTarget: input }) => {
          if (input.valueAsNumber >= min) onValue(input.valueAsNumber);
          else input.value = String(value);
        }}
      />
    </div>
  );
}
