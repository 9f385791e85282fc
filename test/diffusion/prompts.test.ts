/** What is said and refused of prompts on their way to the text encoder. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import { InvalidFileError } from "../../src/errors.js";

const MODEL = join("test", "fixtures", "models", "sd1-like");
const scratch = mkdtempSync(join(tmpdir(), "blockcache-prompts-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
afterEach(() => vi.restoreAllMocks());

describe("a prompt that does not fit", () => {
  it("is cut, and what is left out is said once", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    const pipeline = await loadPipeline(MODEL);
    const long = "one ".repeat(14);
    await pipeline.encodePrompts([`${long}a red cat`, "short", `${long}a red cat`, `${long}a blue dog`]);
    await pipeline.encodePrompts([`${long}a blue dog`]);
    await pipeline.dispose();
    expect(warn.mock.calls.map(([message]) => String(message))).toEqual([
      expect.stringMatching(/longer than the 16 tokens.*left out: "a red cat"$/),
      expect.stringMatching(/longer than the 16 tokens.*left out: "a blue dog"$/),
    ]);
  });
});

describe("a token that the text encoder has no embedding of", () => {
  it("is refused where a prompt has it, and nowhere else", async () => {
    const folder = join(scratch, "m");
    cpSync(MODEL, folder, { recursive: true, filter: (path) => !path.endsWith("reference.safetensors") });
    writeFileSync(join(folder, "tokenizer", "added_tokens.json"), JSON.stringify({ "<cat-toy>": 4014 }));
    const pipeline = await loadPipeline(folder);
    await pipeline.encodePrompts(["a cat"]);
    await expect(pipeline.encodePrompts(["a <cat-toy>"])).rejects.toThrow(InvalidFileError);
    await expect(pipeline.encodePrompts(["a <cat-toy>"])).rejects.toThrow(
      /text_encoder.config\.json: vocab_size: expected more than 4014.*found 4014/,
    );
    await pipeline.dispose();
  });
});
