import { crc32 } from "node:zlib";
import { ArgumentError } from "../errors.js";

/** Signature (8 bytes) and IHDR chunk (4 length + 4 type + 13 data + 4 check sum). */
const HEADER_BYTES = 33;
/** PNG specification, 11.3.3.1: 1 to 79 printable Latin-1 characters, no space at either end. */
const KEYWORD = /^(?! )[\x20-\x7e\xa1-\xff]{1,79}(?<! )$/;

/**
 * Adds one iTXt chunk (UTF-8, uncompressed; PNG specification, third edition, 11.3.3.4) for each
 * entry right after the header. sharp can read such text but not write it.
 *
 * @throws ArgumentError for a keyword that PNG does not allow, or text with a NUL character.
 */
export function withPngText(png: Buffer, text: Readonly<Record<string, string>>): Buffer {
  const chunks = Object.entries(text).map(([keyword, value]) => {
    if (!KEYWORD.test(keyword) || value.includes("\0")) {
      throw new ArgumentError(
        `PNG text ${JSON.stringify(keyword)}: a keyword is 1 to 79 printable Latin-1 characters without a space ` +
          "at either end, and its text holds no NUL",
      );
    }
    // keyword, end, compression flag and method, empty language tag and translated keyword
    return chunk("iTXt", Buffer.concat([Buffer.from(keyword, "latin1"), Buffer.alloc(5), Buffer.from(value, "utf8")]));
  });
  return Buffer.concat([png.subarray(0, HEADER_BYTES), ...chunks, png.subarray(HEADER_BYTES)]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const checkSum = Buffer.alloc(4);
  checkSum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checkSum]);
}
