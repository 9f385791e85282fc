import type { RgbImage } from "../../diffusion/image.js";
import { differenceMap } from "../../quality/differenceMap.js";
import type { PlotlyFigure } from "../figure.js";
import { imageStrips } from "./imageStrips.js";
import { pictureUri, psnrLabel } from "./pictureUri.js";
import { applyTheme } from "../theme.js";
import type { Theme } from "../theme.js";

/** Pictures of one prompt and seed: the plain run's, and others that are compared with it. */
export interface ComparedImages {
  /** the prompt */
  readonly label: string;
  readonly plain: RgbImage;
  /** label → picture; every row has the same labels */
  readonly others: Readonly<Record<string, RgbImage>>;
}

export interface ImageGridOptions {
  /** the factor by which the difference is multiplied before it is shown. Default: 4 */
  readonly gain?: number;
  readonly title?: string;
  readonly theme?: Theme;
}

/**
 * One row per prompt: plain, then each other picture and its difference from plain, labelled with PSNR. Throws
 * ArgumentError where sizes differ.
 */
export async function imageGrid(
  rows: readonly ComparedImages[],
  { gain = 4, title = "Plain and cached", theme = "light" }: ImageGridOptions = {},
): Promise<PlotlyFigure> {
  const labels = Object.keys(rows[0]?.others ?? {});
  const strips = await Promise.all(
    rows.map(async ({ label, plain, others }) => ({
      label,
      images: await Promise.all(
        [plain, ...labels.flatMap((name) => [others[name], differenceMap(others[name], plain, gain)])].map(pictureUri),
      ),
    })),
  );
  const columns = [
    { label: "plain", hover: "plain" },
    ...labels.flatMap((name) => [
      { label: name, hover: name },
      { label: `|difference|<br>× ${gain}`, hover: `${name}: |difference| × ${gain}` },
    ]),
  ];
  const figure = imageStrips({ rows: strips, columns, columnTitle: "", title, theme });
  const decibels = rows.flatMap(({ plain, others }, row) =>
    labels.map((name, index) => psnrLabel(others[name], plain, 2 * index + 2, row)),
  );
  return applyTheme({ ...figure, layout: { ...figure.layout, annotations: decibels } }, theme);
}
