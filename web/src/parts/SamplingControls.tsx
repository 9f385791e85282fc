import { ask, follows, model, runState, setSettings, settings } from "../store.js";
import { Check, Choice, NumberField } from "./fields.js";

/** Prompt, seed, solver, steps, guidance, size; and the run itself. */
export function SamplingControls() {
  const current = settings.value;
  const described = model.value;
  if (current === undefined || described === undefined) return null;
  const pixels = { min: described.pixelsOfLatent, max: 4096, step: described.pixelsOfLatent };
  const isComputing = runState.value === "computing";
  return (
    <section aria-labelledby="sampling-title">
      <h2 id="sampling-title">Sampling</h2>
      <TextField label="Prompt" rows={2} value={current.prompt} onValue={(prompt) => setSettings({ prompt })} />
      <TextField
        label="Negative prompt"
        rows={1}
        value={current.negativePrompt}
        onValue={(negativePrompt) => setSettings({ negativePrompt })}
      />
      <div class="pair">
        <NumberField
          label="Seed"
          value={current.seed}
          min={0}
          max={2 ** 53 - 1}
          onValue={(seed) => setSettings({ seed })}
        />
        <NumberField
          label="Steps"
          value={current.steps}
          min={1}
          max={1000}
          onValue={(steps) => setSettings({ steps })}
        />
      </div>
      <div class="pair">
        <Choice
          label="Solver"
          value={current.solver}
          choices={described.solvers.map((name) => [name, name] as const)}
          onValue={(solver) => setSettings({ solver: solver as typeof current.solver })}
        />
        <NumberField
          label="Guidance"
          value={current.guidanceScale}
          min={0}
          max={100}
          step="any"
          onValue={(guidanceScale) => setSettings({ guidanceScale })}
        />
      </div>
      <div class="pair">
        <NumberField label="Width" {...pixels} value={current.width} onValue={(width) => setSettings({ width })} />
        <NumberField label="Height" {...pixels} value={current.height} onValue={(height) => setSettings({ height })} />
      </div>
      <div class="run">
        <button class="primary" onClick={() => ask({ command: "sample" })}>
          Sample
        </button>
        <button disabled={!isComputing} onClick={() => ask({ command: "stop" })}>
          Stop
        </button>
        <Check checked={follows.value ?? false} onValue={(on) => ask({ command: "follow", on })}>
          on every change
        </Check>
      </div>
    </section>
  );
}

interface TextFieldProps {
  readonly label: string;
  readonly rows: number;
  readonly value: string;
  onValue(value: string): void;
}

function TextField({ label, rows, value, onValue }: TextFieldProps) {
  return (
    <label class="field tall">
      <span>{label}</span>
      <textarea
        rows={rows}
        value={value}
        onChange={({ currentTarget }) => onValue(currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.shiftKey) return;
          event.preventDefault();
          event.currentTarget.blur();
          event.currentTarget.focus();
        }}
      />
    </label>
  );
}
