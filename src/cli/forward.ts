import type { Command } from "commander";
import { InvalidFileError } from "../errors.js";
import { beginAll } from "../diffusion/samplingHook.js";
import { hook } from "../instrument/hooks/hooks.js";
import type { FloatTensor } from "../numerics/tensor.js";
import type { NetworkConditions } from "../engine/network/unetInputs.js";
import { MODEL, command, openPipeline, print } from "./command.js";
import type { CommonOptions } from "./command.js";
import { outputFile } from "./outputs.js";
import { readTensors, writeTensors } from "./tensorFile.js";

interface ForwardOptions extends CommonOptions {
  readonly inputs: string;
  readonly out: string;
  readonly hooks?: string;
}

/** Further inputs that some networks take. */
const CONDITIONS = { text_embeds: "[batch, width]", time_ids: "[batch, ids]", timestep_cond: "[batch, width]" };

/** `blockcache forward`: one network evaluation on given tensors. */
export function forwardCommand(): Command {
  return command(
    "forward",
    "Evaluate the denoising network once, with any block's branch C beside the result.",
    "blockcache forward fluent-ldm --inputs in.safetensors --out out.safetensors --hooks all",
  )
    .argument("<model>", MODEL)
    .requiredOption(
      "--inputs <file>",
      "safetensors with sample [batch, channels, height, width], timestep [1] and encoder_hidden_states [batch, tokens, width]; for SDXL text_embeds [batch, width] and time_ids [batch, 6]; timestep_cond [batch, width] where a distilled network takes it",
    )
    .addOption(
      outputFile("--out <file>", "safetensors to write: sample, and each hooked block's C under its id", [
        ".safetensors",
      ]).makeOptionMandatory(),
    )
    .option("--hooks <ids>", "all, or block ids and patterns separated by commas")
    .action(async (model: string, options: ForwardOptions) => {
      const inputs = await readTensors(
        options.inputs,
        {
          sample: "[batch, channels, height, width]",
          timestep: "[1]",
          encoder_hidden_states: "[batch, tokens, width]",
        },
        CONDITIONS,
      );
      const timestep = timestepIn(options.inputs, inputs.timestep);
      const pipeline = await openPipeline(model, options);
      const branches: Record<string, FloatTensor> = {};
      const hooks = (options.hooks?.split(",") ?? []).map((pattern) =>
        hook(pattern.trim(), ({ id, branch }) => void (branches[id] = branch), { results: ["branch"] }),
      );
      const inParts = await beginAll(hooks, pipeline);
      const sample = await pipeline.network.forward(
        { sample: inputs.sample, timestep, ...conditionsIn(options.inputs, inputs) },
        {
          observers: hooks,
          inParts,
          evaluation: { index: 0, timestep, images: inputs.sample.dims[0], guided: false },
        },
      );
      await writeTensors(options.out, { sample, ...branches });
      const ids = Object.keys(branches);
      print(options, { out: options.out, sample: sample.dims, hooks: ids }, [
        `${options.out}: sample [${sample.dims.join(", ")}] and ${ids.length} hooked branches`,
      ]);
      await pipeline.dispose();
    });
}

function timestepIn(file: string, { data }: FloatTensor): number {
  const [timestep, ...others] = data;
  if (timestep === undefined || others.some((each) => each !== timestep))
    throw new InvalidFileError({
      file,
      field: "timestep",
      found: `[${data.join(", ")}]`,
      expected: "one timestep for the whole batch",
    });
  return timestep;
}

function conditionsIn(file: string, inputs: Readonly<Record<string, FloatTensor | undefined>>): NetworkConditions {
  const {
    encoder_hidden_states: encoderHiddenStates,
    text_embeds: textEmbeds,
    time_ids: timeIds,
    timestep_cond: timestepCond,
  } = inputs;
  if (encoderHiddenStates === undefined) throw new TypeError("encoder_hidden_states was not read");
  if ((textEmbeds === undefined) !== (timeIds === undefined)) {
    throw new InvalidFileError({
      file,
      field: textEmbeds === undefined ? "text_embeds" : "time_ids",
      found: "no such tensor",
      expected: "text_embeds and time_ids together",
    });
  }
  return { encoderHiddenStates, addedConditions: textEmbeds && timeIds && { textEmbeds, timeIds }, timestepCond };
}
