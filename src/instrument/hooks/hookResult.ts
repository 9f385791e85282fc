/** Checks what a hook returned: the hook may be a user's own. */
import { ArgumentError } from "../../errors.js";
import { requireFinite } from "../../numerics/finite.js";
import type { FloatTensor } from "../../numerics/tensor.js";

/** What takes the place of a block's results: a copy, of their shape. Absent parts stay as computed. */
export interface HookReplacement {
  /** stands in for C: the residual is added to it again */
  readonly branch?: FloatTensor;
  readonly out?: FloatTensor;
}

const PARTS = ["branch", "out"] as const;

/**
 * A copy of what takes the place of a block's results: empty where the hook returned no object, or an object without
 * parts.
 *
 * @param dims of the block's results
 * @throws ArgumentError where it is not a replacement, or a tensor has another shape or type; NotFiniteError for NaN
 *   and
 *   infinity
 */
export function hookReplacement(
  given: unknown,
  { id, step }: { readonly id: string; readonly step: number },
  dims: readonly number[],
): HookReplacement {
  if (typeof given !== "object" || given === null) return {};
  const where = `hook: ${id}, evaluation ${step}`;
  const stray = Array.isArray(given) ? "a list" : Object.keys(given).find((key) => !PARTS.some((part) => part === key));
  if (stray !== undefined || !isPlain(given))
    throw new ArgumentError(
      `${where}: expected nothing, or an object with branch, out or both, found ${stray ?? describe(given)} — return { branch: { dims, data } }`,
    );
  const parts = given as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    PARTS.filter((part) => parts[part] !== undefined).map((part) => [
      part,
      tensorOf(parts[part], dims, `${where}: ${part}`),
    ]),
  );
}

function tensorOf(given: unknown, dims: readonly number[], where: string): FloatTensor {
  const { dims: found, data } = (given ?? {}) as { readonly dims?: unknown; readonly data?: unknown };
  const length = dims.reduce((product, dim) => product * dim, 1);
  const expected = `{ dims: [${dims.join(", ")}], data: a Float32Array of ${length} }`;
  if (!Array.isArray(found) || found.length !== dims.length || found.some((dim, axis) => dim !== dims[axis]))
    throw new ArgumentError(
      `${where}: expected ${expected}, found ${Array.isArray(found) ? `dims [${found.join(", ")}]` : describe(given)}`,
    );
  if (!isFloat32(data) || data.length !== length)
    throw new ArgumentError(
      `${where}: expected ${expected}, found data: ${describe(data)}${isFloat32(data) ? ` of ${data.length}` : ""}`,
    );
  const copy = { dims, data: Float32Array.from(data) };
  requireFinite(copy, where, "a hook must give numbers");
  return copy;
}

/** Also true for an array made in a notebook's cell, whose classes need not be this module's. */
function isFloat32(data: unknown): data is Float32Array {
  return kindOf(data) === "Float32Array";
}

function isPlain(value: object): boolean {
  return kindOf(value) === "Object";
}

function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

function describe(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  return `a ${kindOf(value)}`;
}
