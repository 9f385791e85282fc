/** Inputs with their labels. What is typed counts when the field is left or Enter is pressed; what makes no sense is put back. */
import type { ComponentChildren } from "preact";

interface NumberFieldProps {
  readonly label: string;
  readonly value: number;
  readonly min?: number;
  readonly max?: number;
  readonly step?: number | "any";
  readonly disabled?: boolean;
  onValue(value: number): void;
}

export function NumberField({ label, value, min, max, step = 1, disabled, onValue }: NumberFieldProps) {
  return (
    <label class="field">
      <span>{label}</span>
      <input
        type="number"
        value={value}
        min={min}
        max={max}
        step={step}
        disabled={disabled}
        onChange={({ currentTarget: input }) => {
          const next = input.valueAsNumber;
          const isBetween = next >= (min ?? -Infinity) && next <= (max ?? Infinity);
          if (isBetween && (step === "any" || Number.isInteger(next / step) || step < 1)) onValue(next);
          else input.value = String(value);
        }}
      />
    </label>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly value: string;
  readonly choices: readonly (readonly [value: string, text: string])[];
  onValue(value: string): void;
}

export function Choice({ label, value, choices, onValue }: ChoiceProps) {
  return (
    <label class="field">
      <span>{label}</span>
      <select value={value} onChange={({ currentTarget }) => onValue(currentTarget.value)}>
        {choices.map(([each, text]) => (
          <option key={each} value={each}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

interface CheckProps {
  readonly checked: boolean;
  readonly children: ComponentChildren;
  onValue(checked: boolean): void;
}

export function Check({ checked, children, onValue }: CheckProps) {
  return (
    <label class="check">
      <input type="checkbox" checked={checked} onChange={({ currentTarget }) => onValue(currentTarget.checked)} />
      <span>{children}</span>
    </label>
  );
}
