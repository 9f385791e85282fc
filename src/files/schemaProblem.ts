import type { z } from "zod";

/** The first field that breaks a schema, in our words. */
export interface SchemaProblem {
  /** path within the value, joined by dots; absent where the whole value is meant */
  readonly field?: string;
  readonly found: string;
  readonly expected: string;
}

type Issue = z.core.$ZodIssue;

/** What is wrong with a value that a schema refused. */
export function schemaProblem({ issues: [issue] }: z.core.$ZodError, value: unknown): SchemaProblem {
  const found = issue.path.reduce<unknown>(
    (inside, key) =>
      typeof inside === "object" && inside !== null ? (inside as Record<PropertyKey, unknown>)[key] : undefined,
    value,
  );
  return {
    field: issue.path.join(".") || undefined,
    found: found === undefined ? "nothing" : said(found).slice(0, 60),
    expected: expectation(issue),
  };
}

/** Zod's names of types, in words that people use for JSON. */
const TYPES: Readonly<Record<string, string>> = {
  int: "a whole number",
  number: "a number",
  string: "a string",
  boolean: "true or false",
  array: "a list",
  tuple: "a list",
  object: "an object",
  record: "an object",
};

function expectation(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return TYPES[issue.expected] ?? issue.expected;
    case "invalid_value":
      return issue.values.length === 1 ? said(issue.values[0]) : `one of ${issue.values.map(said).join(", ")}`;
    case "too_small":
      return bounded(
        issue.origin,
        issue.exact ? "of" : issue.inclusive === false ? "above" : "of at least",
        issue.minimum,
      );
    case "too_big":
      return bounded(
        issue.origin,
        issue.exact ? "of" : issue.inclusive === false ? "below" : "of at most",
        issue.maximum,
      );
    case "invalid_union":
      return issue.errors.length === 0
        ? issue.message
        : [...new Set(issue.errors.map(([first]) => within(first)))].join(", or ");
    default:
      return issue.message.replace(/^Invalid input: expected /, "");
  }
}

/** What one of several allowed forms asks for, where its issue lies inside the value. */
function within(issue: Issue): string {
  if (issue.path.length === 0) return expectation(issue);
  if (typeof issue.path[0] === "number") return "a list of such";
  return `an object whose ${issue.path.join(".")} is ${expectation(issue)}`;
}

function bounded(origin: string, relation: string, limit: number | bigint): string {
  if (origin === "array" || origin === "tuple")
    return `a list ${relation} ${limit} ${Number(limit) === 1 ? "entry" : "entries"}`;
  return `${origin === "string" ? "a string" : "a number"} ${relation} ${limit}${origin === "string" ? " characters" : ""}`;
}

/** A value in a few words; JSON cannot say NaN, infinities, big integers, maps, sets and typed arrays. */
function said(value: unknown): string {
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null)
    return typeof value === "string" ? JSON.stringify(value) : String(value);
  const kind = Object.prototype.toString.call(value).slice("[object ".length, -1);
  if (kind !== "Object" && kind !== "Array") return `a ${kind}`;
  try {
    return JSON.stringify(value);
  } catch {
    return String(value);
  }
}
