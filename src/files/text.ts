/** Text files, as various programs write them. */
import { readFile } from "node:fs/promises";
import { InvalidFileError } from "../errors.js";
import { unreadable } from "./unreadable.js";

/** Byte-order marks, the longest first: UTF-32's little-endian one begins with UTF-16's. */
const MARKS: readonly (readonly [bytes: readonly number[], encoding: string])[] = [
  [[0xff, 0xfe, 0, 0], "utf-32le"],
  [[0, 0, 0xfe, 0xff], "utf-32be"],
  [[0xef, 0xbb, 0xbf], "utf-8"],
  [[0xff, 0xfe], "utf-16le"],
  [[0xfe, 0xff], "utf-16be"],
];

/** @param encoding that the file is likely to be in */
const hintFor = (encoding: string): string =>
  `save it as UTF-8, for example: iconv -f ${encoding} -t UTF-8 old.txt > new.txt`;

/**
 * A file's text: UTF-8, or UTF-16 with a byte-order mark, as PowerShell's `>` writes it. The mark is not part of it.
 *
 * @param expected what the file should be, for messages
 * @throws InvalidFileError where it cannot be read, or is in another encoding
 */
export async function readText(path: string, expected: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new InvalidFileError({ file: path, found: unreadable(error), expected });
  }
  const encoding = MARKS.find(([mark]) => mark.every((byte, index) => bytes[index] === byte))?.[1] ?? "utf-8";
  const refuse = (found: string, likely: string): never => {
    throw new InvalidFileError({
      file: path,
      found,
      expected: `${expected}, in UTF-8 or UTF-16`,
      hint: hintFor(likely),
    });
  };
  if (encoding.startsWith("utf-32")) return refuse("UTF-32", "UTF-32");
  let text: string;
  try {
    text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    return encoding === "utf-8"
      ? refuse(placeOfFault(bytes), "LATIN1")
      : refuse(`bytes that are not ${encoding.toUpperCase()}`, "UTF-16");
  }
  // UTF-16 without a mark is also valid UTF-8 where its letters are ASCII.
  if (text.includes("\0"))
    return refuse(
      "zero bytes, as in UTF-16 without a byte-order mark",
      text.startsWith("\0") ? "UTF-16BE" : "UTF-16LE",
    );
  return text;
}

/** Where the first byte that is not UTF-8 stands: Latin-1 has one for each letter with an accent. */
function placeOfFault(bytes: Uint8Array): string {
  const text = new TextDecoder("utf-8").decode(bytes);
  const line = text.slice(0, text.indexOf("\ufffd")).split("\n").length;
  return `bytes in line ${line} that are not UTF-8 (Latin-1, or no text at all)`;
}
