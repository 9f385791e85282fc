/** Colours of what is drawn: Okabe and Ito's palette, told apart by colour-blind readers; shapes say the same again. */
import { isDark } from "./theme.js";

export interface Ink {
  readonly paper: string;
  readonly text: string;
  readonly faint: string;
  readonly line: string;
  /** a cell that computes: planned, and done in the run */
  readonly compute: string;
  readonly computed: string;
  /** a cell that reuses: planned, and done in the run */
  readonly reuse: string;
  readonly reused: string;
  /** where two schedules differ */
  readonly differs: string;
  /** where the keyboard is */
  readonly focus: string;
  /** of a share of time: none, and the largest */
  readonly least: readonly [number, number, number];
  readonly most: readonly [number, number, number];
}

const LIGHT: Ink = {
  paper: "#ffffff",
  text: "#1b1f24",
  faint: "#5b636d",
  line: "#d5dae0",
  compute: "#9ccbe6",
  computed: "#0072b2",
  reuse: "#f0cf8e",
  reused: "#d08700",
  differs: "#a3316f",
  focus: "#1b1f24",
  least: [237, 242, 247],
  most: [0, 90, 143],
};

const DARK: Ink = {
  paper: "#171b20",
  text: "#e6e9ed",
  faint: "#a3abb5",
  line: "#343b44",
  compute: "#1d4f70",
  computed: "#56b4e9",
  reuse: "#6d5322",
  reused: "#f0b040",
  differs: "#ffd1e8",
  focus: "#ffffff",
  least: [32, 39, 47],
  most: [86, 180, 233],
};

/** The colours of the page as it is now. */
export function ink(): Ink {
  return isDark() ? DARK : LIGHT;
}

/** Between the colour of no share and that of the largest, and a colour of letters that are read on it. */
export function shareColours(share: number): { readonly fill: string; readonly text: string } {
  const { least, most } = ink();
  const mixed = least.map((from, channel) => Math.round(from + share * (most[channel] - from)));
  const luminance = 0.299 * mixed[0] + 0.587 * mixed[1] + 0.114 * mixed[2];
  return { fill: `rgb(${mixed.join()})`, text: luminance > 130 ? "#101418" : "#ffffff" };
}
