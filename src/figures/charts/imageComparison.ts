import type { RgbImage } from "../../diffusion/image.js";
import { differenceMap } from "../../quality/differenceMap.js";
import type { PlotlyFigure } from "../figure.js";
import { imageStrips } from "./imageStrips.js";
import { pictureUri, psnrLabel } from "./pictureUri.js";
import { applyTheme } from "../theme.js";
import type { Theme } from "../theme.js";

/** The same prompts from the same noise, made in one way. */
export interface ComparedSetting {
  /** "without caching", "cached", "cached + scale-shift" */
  readonly label: string;
  /** one per prompt */
  readonly images: readonly RgbImage[];
  /** the reference's time ÷ this setting's */
  readonly speedup?: number;
}

export interface ImageComparisonInput {
  readonly prompts: readonly string[];
  readonly reference: ComparedSetting;
  /** each is compared with the reference, in the order to show them */
  readonly others: readonly ComparedSetting[];
  /** the factor by which differences are multiplied before they are shown. Default: 4 */
  readonly gain?: number;
  readonly title?: string;
  readonly theme?: Theme;
}

/** Pixels of one picture. */
const CELL = 128;

/**
 * The paper's Figures 1, 3 and 6: one row per setting, one column per prompt, all from the same noise; below each
 * setting its difference from the reference, with PSNR. Throws ArgumentError where sizes differ.
 */
export async function imageComparison(input: ImageComparisonInput): Promise<PlotlyFigure> {
  const {
    prompts,
    reference,
    others,
    gain = 4,
    title = "What caching changes, from the same noise",
    theme = "light",
  } = input;
  const rows = [
    { label: labelOf(reference), images: reference.images },
    ...others.flatMap((setting) => [
      { label: labelOf(setting), images: setting.images },
      {
        label: `|difference| × ${gain}`,
        images: setting.images.map((image, prompt) => differenceMap(image, reference.images[prompt], gain)),
      },
    ]),
  ];
  const strips = await Promise.all(
    rows.map(async ({ label, images }) => ({ label, images: await Promise.all(images.map(pictureUri)) })),
  );
  const columns = prompts.map((prompt) => ({ label: prompt, hover: prompt }));
  const figure = imageStrips({ rows: strips, columns, columnTitle: "", title, cell: CELL, theme });
  const decibels = others.flatMap(({ images }, setting) =>
    images.map((image, column) => psnrLabel(image, reference.images[column], column, 2 * setting + 2)),
  );
  return applyTheme({ ...figure, layout: { ...figure.layout, annotations: decibels } }, theme);
}

function labelOf({ label, speedup }: ComparedSetting): string {
  return speedup === undefined ? label : `${label}<br>${speedup.toFixed(2)} × as fast`;
}
