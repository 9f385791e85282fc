import { UnsupportedError } from "../../errors.js";
import type { Solver } from "../../diffusion/solvers/index.js";

/**
 * What a solver makes of the network's outputs: a deterministic one without clipping gives weighted sums of them and of
 * the start latents, the same for every element.
 */
export interface SolverWeights {
  /** [i][j]: of evaluation j's output in what evaluation i is given */
  readonly given: readonly Float64Array[];
  /** of each evaluation's output in the final latents */
  readonly final: Float64Array;
}

/** What is lost to a solver's float32. */
const TOLERANCE = 1e-4;

/**
 * Finds the weights by running the solver on a single number, with 1 for the output of one evaluation after the other.
 *
 * @throws UnsupportedError where the weights do not say what the solver gives: it draws noise, clips, or thresholds
 */
export async function solverWeights(solver: Solver): Promise<SolverWeights> {
  const count = solver.timesteps.length;
  const responses: { given: number[]; final: number }[] = [];
  for (let one = 0; one < count; one++) responses.push(await respond(solver, 0, (index) => (index === one ? 1 : 0)));
  const given = Array.from({ length: count }, (_, i) => Float64Array.from(responses, (each) => each.given[i]));
  const final = Float64Array.from(responses, (each) => each.final);

  // Any numbers, of a size that a clip to [−1, 1] would not let pass.
  const outputs = Array.from({ length: count }, (_, index) => 5 * Math.cos(3 * index + 1));
  const alone = await respond(solver, 4, () => 0);
  const together = await respond(solver, 4, (index) => outputs[index]);
  const said = alone.final + outputs.reduce((sum, output, index) => sum + output * final[index], 0);
  if (!(Math.abs(said - together.final) <= TOLERANCE * Math.max(1, Math.abs(together.final))))
    throw new UnsupportedError(
      `loss latents: solver ${solver.name}, as it is configured, is not supported: it clips or thresholds (supported: solvers that are linear in the network's outputs)`,
    );
  return { given, final };
}

async function respond(
  solver: Solver,
  start: number,
  output: (index: number) => number,
): Promise<{ given: number[]; final: number }> {
  const dims = [1, 1, 1, 1];
  const given: number[] = [];
  const denoise: Parameters<Solver["sample"]>[0] = async (latents) => {
    given.push(latents.data[0]);
    return { dims, data: Float32Array.of(output(given.length - 1)) };
  };
  let final = start;
  try {
    for await (const { latents } of solver.sample(denoise, { dims, data: Float32Array.of(start) }))
      [final] = latents.data;
  } catch (error) {
    throw new UnsupportedError(
      `loss latents: solver ${solver.name}, as it is configured, is not supported: ${error instanceof Error ? error.message : String(error)} (supported: solvers that draw no noise)`,
      { cause: error },
    );
  }
  return { given, final };
}
