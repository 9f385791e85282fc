import type { Command } from "commander";
import { Option } from "commander";
import { loadFeatures, loadFeaturesOrStatistics } from "../quality/features/featureFile.js";
import { SET_METRICS } from "../quality/metrics.js";
import { RESAMPLES } from "../quality/sets/bootstrap.js";
import { intervalOf } from "../quality/sets/measured.js";
import { command, counted, nonNegativeInteger, print } from "./command.js";
import type { CommonOptions } from "./command.js";

interface FrechetCommandOptions extends CommonOptions {
  readonly metric: string;
  readonly resamples: number;
}

const DISTANCES = SET_METRICS.filter(({ needs }) => needs !== "prompts");

/** `blockcache frechet`: how far two sets of pictures are from each other. */
export function frechetCommand(): Command {
  return command(
    "frechet",
    "Distance between two sets of features, with a 95 % interval over pictures (bootstrap).",
    "blockcache frechet cached.safetensors photos.safetensors --metric kid",
  )
    .argument("<a>", "what `blockcache features` wrote for the pictures in question")
    .argument("<b>", "the same for the reference pictures; for Fréchet distances, their mean and covariance are enough")
    .addOption(
      new Option("--metric <name>", "which distance").choices(DISTANCES.map(({ name }) => name)).default("frechet"),
    )
    .option(
      "--resamples <n>",
      "of the bootstrap; 0 gives the distance alone, for sets so large that an interval would take too long",
      nonNegativeInteger,
      RESAMPLES,
    )
    .action(async (a: string, b: string, options: FrechetCommandOptions) => {
      const [features, reference] = [await loadFeatures(a), await loadFeaturesOrStatistics(b)];
      const metric = DISTANCES.find(({ name }) => name === options.metric) ?? DISTANCES[0];
      const measured = metric.measure({ features, reference }, { resamples: options.resamples });
      const { value, unbiased } = measured;
      const { low, high } = intervalOf(measured);
      const isKnown = options.resamples > 0;
      print(
        options,
        {
          [metric.name]: value,
          ...(unbiased === undefined ? {} : { unbiased }),
          ...(isKnown ? { low, high } : {}),
          pictures: [features.pictures, reference.pictures],
        },
        [
          `${metric.title} ${value.toPrecision(5)}${isKnown ? ` (95 %: ${low.toPrecision(4)} to ${high.toPrecision(4)})` : ""}${unbiased === undefined ? "" : `; without the bias of ${counted(features.pictures, "picture")}: ${unbiased.toPrecision(5)}`}`,
        ],
      );
    });
}
