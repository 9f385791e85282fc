/** Small inputs that drive a function of a cell: plain data, made by a function each. */

export interface SliderInput {
  readonly kind: "slider";
  readonly min: number;
  readonly max: number;
  readonly step: number;
  readonly value: number;
}

export interface TextInput {
  readonly kind: "text";
  readonly value: string;
}

export interface ChoiceInput {
  readonly kind: "choice";
  readonly choices: readonly string[];
  readonly value: string;
}

export interface CheckInput {
  readonly kind: "check";
  readonly value: boolean;
}

export type Input = SliderInput | TextInput | ChoiceInput | CheckInput;

/** A number between two. `step` defaults to a hundredth of the way, `value` to the middle. */
export function slider(
  min: number,
  max: number,
  { step = (max - min) / 100, value = (min + max) / 2 }: { readonly step?: number; readonly value?: number } = {},
): SliderInput {
  return { kind: "slider", min, max, step, value };
}

/** A line of text. */
export function text(value = ""): TextInput {
  return { kind: "text", value };
}

/** One of several texts; the first to begin with. */
export function choice(choices: readonly string[], value: string = choices[0]): ChoiceInput {
  return { kind: "choice", choices, value };
}

/** Yes or no. */
export function check(value = false): CheckInput {
  return { kind: "check", value };
}
