/** `key=value` options. */
import { InvalidArgumentError } from "commander";

/** Adds one `key=value` to those before it; a value is read as JSON where it is JSON, else it is the text itself. */
export function keyValue(
  text: string,
  before: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> {
  const [, key, value] = /^(\w+)=(.*)$/s.exec(text) ?? [];
  if (key === undefined) throw new InvalidArgumentError(`expected key=value, found "${text}".`);
  if (Object.hasOwn(before, key)) throw new InvalidArgumentError(`expected ${key} once, found it twice.`);
  return { ...before, [key]: plain(value) };
}

function plain(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
