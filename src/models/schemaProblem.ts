import type { z } from "zod";

/** The first field that breaks a schema, in our words. */
export interface SchemaProblem {
  /** path within the value, joined by dots; empty where the whole value is meant */
  readonly field: string;
  readonly found: string;
  readonly expected: string;
}

type Issue = z.core.$ZodIssue;

/** What is wrong with a value that a schema refused. */
export function schemaProblem({ issues: [issue] }: z.core.$ZodError, value: unknown): SchemaProblem {
  const found = issue.path.reduce<unknown>((inside, key) => (typeof inside === "object" && inside !== null ? (inside as Record<PropertyKey, unknown>)[key] : undefined), value);
  return { field: issue.path.join("."), found: found === undefined ? "nothing" : (JSON.stringify(found) ?? String(found)).slice(0, 60), expected: expectation(issue) };
}

/** Names of types as zod has them, where JSON's readers have others. */
const TYPES: Readonly<Record<string, string>> = { int: "a whole number", number: "a number", string: "a string", boolean: "true or false", array: "a list", tuple: "a list", object: "an object", record: "an object", null: "null" };

function expectation(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return TYPES[issue.expected] ?? issue.expected;
    case "invalid_value":
      return issue.values.length === 1 ? JSON.stringify(issue.values[0]) : `one of ${issue.values.map((value) => JSON.stringify(value)).join(", ")}`;
    case "too_small":
      return bound(issue.origin, issue.inclusive === false ? "above" : "of at least", issue.minimum);
    case "too_big":
      return bound(issue.origin, issue.inclusive === false ? "below" : "of at most", issue.maximum);
    case "invalid_union":
      return [...new Set(issue.errors.map(([first]) => (first.path.length === 0 ? expectation(first) : `a list, each of it ${expectation(first)}`)))].join(", or ");
    default:
      return issue.message.replace(/^Invalid input: expected /, "");
  }
}

function bound(origin: string, relation: string, limit: number | bigint): string {
  const what = origin === "array" ? "a list" : origin === "string" ? "a string" : "a number";
  return `${what} ${relation} ${limit}`;
}
