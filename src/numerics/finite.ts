import { NotFiniteError } from "../errors.js";
import type { FloatTensor } from "./tensor.js";

/**
 * @param where the tensor is, for the message
 * @throws NotFiniteError where it holds NaN or infinity; the message names the first row that does
 */
export function requireFinite({ dims, data }: FloatTensor, where: string, hint: string): void {
  const place = data.findIndex((value) => !Number.isFinite(value));
  if (place < 0) return;
  const row = Math.floor((place * dims[0]) / data.length);
  throw new NotFiniteError(
    `${where}: expected finite numbers, found ${data[place]} in row ${row} of ${dims[0]} — ${hint}`,
  );
}
