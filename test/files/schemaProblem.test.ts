/** What a reader of an error is told of a value that a schema refuses. */
import { expect, it } from "vitest";
import { z } from "zod";
import { schemaProblem } from "../../src/files/schemaProblem.js";

const count = z.number().int().positive();
const perLevel = z.union([count, z.array(count).min(1)]);
const token = z.union([z.string(), z.object({ content: z.string() })]);
const circular: { self?: unknown } = {};
circular.self = circular;

const CASES = [
  [z.object({ a: count }), { a: 2.5 }, "a", "a whole number", "2.5"],
  [z.object({ a: count }), { a: -1 }, "a", "a number above 0", "-1"],
  [z.object({ a: z.number().max(3) }), { a: NaN }, "a", "a number", "NaN"],
  [z.object({ a: z.number() }), {}, "a", "a number", "nothing"],
  [z.object({ a: z.number() }), null, undefined, "an object", "null"],
  [z.object({ a: perLevel }), { a: "two" }, "a", "a number, or a list", '"two"'],
  [z.object({ a: perLevel }), { a: [1, "x"] }, "a", "a number, or a list of such", '[1,"x"]'],
  [z.object({ a: perLevel }), { a: [] }, "a", "a list of at least 1 entry", "[]"],
  [token, { content: 3 }, undefined, "a string, or an object whose content is a string", '{"content":3}'],
  [z.enum(["silu", "gelu"]), "elu", undefined, 'one of "silu", "gelu"', '"elu"'],
  [z.literal(Infinity), 3, undefined, "Infinity", "3"],
  [z.array(z.number()).length(4), [1, 2], undefined, "a list of 4 entries", "[1,2]"],
  [z.tuple([z.string(), z.string()]), ["diffusers"], undefined, "a list of at least 2 entries", '["diffusers"]'],
  [z.record(z.string(), z.number()), { cat: "dog" }, "cat", "a number", '"dog"'],
  [
    z.record(z.string(), z.string()).refine((map) => Object.keys(map).length > 0, "one entry at least"),
    {},
    undefined,
    "one entry at least",
    "{}",
  ],
  [z.object({ a: z.array(z.number()) }), { a: [981n] }, "a.0", "a number", "981"],
  [z.string(), circular, undefined, "a string", "[object Object]"],
] as const;

it.each(CASES.map(([schema, value, field, expected, found]) => ({ schema, value, field, expected, found })))(
  "expected $expected, found $found",
  ({ schema, value, field, expected, found }) => {
    const parsed = schema.safeParse(value);
    expect(parsed.success).toBe(false);
    if (!parsed.success) expect(schemaProblem(parsed.error, value)).toEqual({ field, expected, found });
  },
);
