/**
 * What distillation trains: the table of coefficients itself, or a linear layer on the timestep's embedding (as the
 * paper has it), of which the table is what the layer gives at the schedule's timesteps. Both are linear in features of
 * an evaluation, one-hot for the table:  table[t] = Σ_f φ_t[f] · parameters[f].
 */
import { Matrix, pseudoInverse } from "ml-matrix";
import { embedTimestep } from "../../graphs/timestepEmbedding.js";
import type { UNetConfig } from "../../models/configs/unet.js";

export const PARAMETER_KINDS = ["table", "time-embedding"] as const;
export type ParameterKind = (typeof PARAMETER_KINDS)[number];

/** Sines and cosines of the timestep, one cycle of the network's own embedding. */
const EMBEDDING_WIDTH = 64;

/** φ of each evaluation. Their absolute values sum to 1, so that a step of Adam moves both kinds of table alike. */
export function features(
  kind: ParameterKind,
  timesteps: readonly number[],
  config: Pick<UNetConfig, "freq_shift" | "flip_sin_to_cos">,
): readonly Float64Array[] {
  if (kind === "table")
    return timesteps.map((_, index) => Float64Array.from(timesteps, (__, other) => (index === other ? 1 : 0)));
  return timesteps.map((timestep) => {
    const embedding = [1, ...embedTimestep(config, EMBEDDING_WIDTH, timestep)];
    const size = embedding.reduce((sum, value) => sum + Math.abs(value), 0);
    return Float64Array.from(embedding, (value) => value / size);
  });
}

/** Parameters [features, width] whose table is nearest to a given one [evaluations, width]. */
export function parametersFor(phi: readonly Float64Array[], table: Float32Array): Float64Array {
  const width = table.length / phi.length;
  const inverse = pseudoInverse(new Matrix(phi.map((each) => [...each])));
  const parameters = new Float64Array(phi[0].length * width);
  for (let feature = 0; feature < phi[0].length; feature++) {
    for (let evaluation = 0; evaluation < phi.length; evaluation++) {
      const weight = inverse.get(feature, evaluation);
      if (weight === 0) continue;
      for (let index = 0; index < width; index++)
        parameters[feature * width + index] += weight * table[evaluation * width + index];
    }
  }
  return parameters;
}

/** The table's row at an evaluation. */
export function rowOf(phi: Float64Array, parameters: Float64Array): Float32Array {
  const width = parameters.length / phi.length;
  const row = new Float32Array(width);
  for (let index = 0; index < width; index++) {
    let sum = 0;
    for (let feature = 0; feature < phi.length; feature++) sum += phi[feature] * parameters[feature * width + index];
    row[index] = sum;
  }
  return row;
}
