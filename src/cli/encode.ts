import type { Command } from "commander";
import { writeSafetensors } from "../files/safetensors.js";
import type { OutgoingTensor } from "../files/safetensors.js";
import { MODEL, command, counted, nonNegativeInteger, openPipeline, print } from "./command.js";
import type { CommonOptions } from "./command.js";
import { outputFile } from "./outputs.js";
import { PROMPT_FILE, readPrompts } from "./promptFile.js";

interface EncodeOptions extends CommonOptions {
  readonly prompts: string;
  readonly out: string;
  readonly clipSkip: number;
}

/** `blockcache encode`: prompts to token ids and text embeddings. */
export function encodeCommand(): Command {
  return command(
    "encode",
    "Tokenize and encode prompts.",
    "blockcache encode fluent-ldm --prompts prompts.json --out text.safetensors",
  )
    .argument("<model>", MODEL)
    .requiredOption("--prompts <file>", PROMPT_FILE)
    .addOption(
      outputFile(
        "--out <file>",
        "safetensors to write: input_ids [prompts, tokens] int64, prompt_embeds [prompts, tokens, width]; for SDXL input_ids_2 and pooled_prompt_embeds [prompts, width] too",
        [".safetensors"],
      ).makeOptionMandatory(),
    )
    .option("--clip-skip <n>", "leave out the text encoder's last n layers", nonNegativeInteger, 0)
    .action(async (model: string, options: EncodeOptions) => {
      const prompts = await readPrompts(options.prompts);
      const pipeline = await openPipeline(model, options);
      const { inputIds, promptEmbeds, pooledPromptEmbeds } = await pipeline.text.encode(prompts, {
        clipSkip: options.clipSkip,
      });
      const tensors = new Map<string, OutgoingTensor>();
      inputIds.forEach((ids, index) => {
        const dims = [prompts.length, ids.length / prompts.length];
        tensors.set(index === 0 ? "input_ids" : `input_ids_${index + 1}`, {
          dtype: "I64",
          dims,
          data: BigInt64Array.from(ids, BigInt),
        });
      });
      tensors.set("prompt_embeds", { dtype: "F32", ...promptEmbeds });
      if (pooledPromptEmbeds !== undefined)
        tensors.set("pooled_prompt_embeds", { dtype: "F32", ...pooledPromptEmbeds });
      await writeSafetensors(options.out, tensors);
      print(
        options,
        {
          out: options.out,
          prompts: prompts.length,
          prompt_embeds: promptEmbeds.dims,
          pooled_prompt_embeds: pooledPromptEmbeds?.dims,
        },
        [
          `${options.out}: ${counted(prompts.length, "prompt")}, prompt_embeds [${promptEmbeds.dims.join(", ")}]${pooledPromptEmbeds === undefined ? "" : `, pooled_prompt_embeds [${pooledPromptEmbeds.dims.join(", ")}]`}`,
        ],
      );
      await pipeline.dispose();
    });
}
