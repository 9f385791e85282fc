/** The coefficients under distillation: parameters, Adam's state of each, and the adjustment that they make. */
import type { Evaluation } from "../../engine/network/observer.js";
import type { UNetConfig } from "../../models/configs/unet.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { adamStep, clipNorm, cosineRate } from "./adam.js";
import type { AdamState } from "./adam.js";
import { termsOf } from "./adjustment.js";
import type { Adjustment, Term } from "./adjustment.js";
import { features, parametersFor, rowOf } from "./adjustmentParameters.js";
import type { ParameterKind } from "./adjustmentParameters.js";
import type { Quantity } from "./moments.js";

interface Trained {
  readonly block: string;
  readonly term: Term;
  /** [features, halves, channels] */
  readonly values: Float64Array;
  /** the values that were best so far */
  readonly best: Float64Array;
  readonly adam: AdamState;
  /** how many steps the parameters of each feature have taken */
  readonly steps: Float64Array;
  /** the adjustment's table of them [evaluations, halves, channels] */
  readonly table: Float32Array;
}

export class DistilledParameters {
  readonly adjustment: Adjustment;
  /** `<term>/<block>` → its parameters */
  readonly trained = new Map<string, Trained>();
  readonly #features: readonly Float64Array[];
  readonly #terms: readonly Term[];

  constructor(start: Adjustment, kind: ParameterKind, config: UNetConfig) {
    this.#terms = termsOf(start);
    this.#features = features(kind, start.schedule.timesteps, config);
    const blocks = Object.entries(start.blocks).map(([block, { channels, terms }]) => {
      const tables = Object.entries(terms).map(([name, table]): [string, Float32Array] => {
        const values = parametersFor(this.#features, table);
        const own = table.slice();
        this.trained.set(`${name}/${block}`, {
          ...{ block, term: name as Term, values, best: values.slice(), table: own },
          adam: { mean: new Float64Array(values.length), square: new Float64Array(values.length) },
          steps: new Float64Array(this.#features[0].length),
        });
        return [name, own];
      });
      return [block, { channels, terms: Object.fromEntries(tables) }] as const;
    });
    this.adjustment = { ...start, report: {}, blocks: Object.fromEntries(blocks) };
    this.refresh();
  }

  /** The tables as the parameters make them, evaluations where a block computes included: nothing reads those. */
  refresh(): void {
    for (const evaluation of this.#features.keys()) this.refreshRow(evaluation);
  }

  keepBest(): void {
    for (const { values, best } of this.trained.values()) best.set(values);
  }

  takeBest(): void {
    for (const { values, best } of this.trained.values()) values.set(best);
  }

  /** One evaluation's row of every table, before it is read. */
  refreshRow(evaluation: number): void {
    for (const { values, table } of this.trained.values()) {
      const row = rowOf(this.#features[evaluation], values);
      table.set(row, evaluation * row.length);
    }
  }

  /**
   * One step of Adam on the coefficients of the blocks that were reused.
   *
   * @param branches block id → gradient at the stand-in
   * @param regressors block id → what the stand-in was made of, a map for each term
   */
  step(
    branches: ReadonlyMap<string, FloatTensor>,
    regressors: ReadonlyMap<string, readonly Quantity[]>,
    evaluation: Evaluation,
    options: { iteration: number; iterations: number; rate: number; clip: number },
  ): void {
    const phi = this.#features[evaluation.index];
    const rows = this.rowGradients(branches, regressors, evaluation);
    clipNorm(rows.values(), options.clip);
    const rate = cosineRate(options.rate, options.iteration, options.iterations);
    for (const [{ values, adam, steps }, row] of rows) {
      phi.forEach((weight, feature) => {
        if (weight === 0) return;
        const part = (of: Float64Array): Float64Array => of.subarray(feature * row.length, (feature + 1) * row.length);
        const gradient = row.map((value) => weight * value);
        const state = { mean: part(adam.mean), square: part(adam.square) };
        adamStep(part(values), gradient, state, ++steps[feature], rate);
      });
    }
  }

  /** The gradients at one evaluation's rows of the tables [halves, channels], from those at the stand-ins. */
  rowGradients(
    branches: ReadonlyMap<string, FloatTensor>,
    regressors: ReadonlyMap<string, readonly Quantity[]>,
    evaluation: Evaluation,
  ): ReadonlyMap<Trained, Float64Array> {
    const rows = new Map<Trained, Float64Array>();
    for (const [block, gradient] of branches) {
      const maps = regressors.get(block) ?? [];
      this.#terms.forEach((term, place) => {
        const trained = this.trained.get(`${term}/${block}`);
        if (trained === undefined) return;
        rows.set(trained, this.#rowGradient(gradient, maps[place], evaluation));
      });
    }
    return rows;
  }

  /** Σ gradient · map over each channel's rows and pixels: [halves, channels] */
  #rowGradient({ dims, data }: FloatTensor, map: Quantity, { images, guided }: Evaluation): Float64Array {
    const { halves } = this.adjustment;
    const [rows, channels] = dims;
    const pixels = data.length / (rows * channels);
    const sums = new Float64Array(halves * channels);
    for (let row = 0; row < rows; row++) {
      const half = halves === 2 && (!guided || row >= images) ? 1 : 0;
      for (let channel = 0; channel < channels; channel++) {
        const from = (row * channels + channel) * pixels;
        let sum = 0;
        for (let index = from; index < from + pixels; index++)
          sum += data[index] * (typeof map === "number" ? map : map[index]);
        sums[half * channels + channel] += sum;
      }
    }
    return sums;
  }
}
