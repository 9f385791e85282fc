import { ArgumentError } from "../../errors.js";
import { psnr } from "../../quality/distance.js";
import { differenceMap } from "../../quality/differenceMap.js";
import type { PlotlyFigure, PlotlyObject } from "../figure.js";
import { imageStrips } from "./imageStrips.js";
import { decibel, pictureUri } from "./pictureUri.js";
import type { SweepPictures } from "./sweepPictures.js";
import { applyTheme } from "../theme.js";
import type { Theme } from "../theme.js";

export interface SweepSliderOptions {
  /** the factor by which the difference is multiplied before it is shown. Default: 4 */
  readonly gain?: number;
  readonly title?: string;
  readonly theme?: Theme;
}

/** Height in pixels of one picture, of the line below the title, and of the slider. */
const CELL = 150;
const SUBTITLE = 18;
const SLIDER = 84;

/**
 * A slider over the parameter: plain, cached and difference of each prompt, with PSNR and speed-up.
 * Each slider step is a relayout that holds the pictures, so that it works wherever Plotly draws.
 *
 * @throws ArgumentError where there is no cached setting
 */
export async function sweepSlider(
  { parameter, prompts, plain, cached }: SweepPictures,
  { gain = 4, title, theme = "light" }: SweepSliderOptions = {},
): Promise<PlotlyFigure> {
  const reference = await Promise.all(plain.images.map(pictureUri));
  const settings = await Promise.all(
    cached.map(async ({ value, seconds, images }) => ({
      label: String(value),
      caption: `${parameter} = ${value}: ${(plain.seconds / seconds).toFixed(2)} × as fast, PSNR ${images.map((image, prompt) => decibel(psnr(image, plain.images[prompt]))).join(", ")}`,
      pictures: await Promise.all(
        [...images, ...images.map((image, prompt) => differenceMap(image, plain.images[prompt], gain))].map(pictureUri),
      ),
    })),
  );
  const [first] = settings;
  if (first === undefined) throw new ArgumentError("cached: expected one setting or more for the slider, found none");
  const columns = prompts.map((prompt) => ({ label: prompt, hover: prompt }));
  const figure = imageStrips({
    rows: [
      { label: "plain", images: reference },
      { label: "cached", images: first.pictures.slice(0, prompts.length) },
      { label: `|difference| × ${gain}`, images: first.pictures.slice(prompts.length) },
    ],
    columns,
    columnTitle: "",
    title: title ?? `Pictures over ${parameter}`,
    cell: CELL,
    theme,
  });
  const steps = settings.map(({ label, caption, pictures }): PlotlyObject => ({
    label,
    method: "relayout",
    args: [
      {
        "title.subtitle.text": caption,
        ...Object.fromEntries(pictures.map((source, index) => [`images[${prompts.length + index}].source`, source])),
      },
    ],
  }));
  const { height, margin } = figure.layout as { height: number; margin: { t: number; b: number } };
  const layout: PlotlyObject = {
    ...figure.layout,
    title: { ...(figure.layout.title as PlotlyObject), subtitle: { text: first.caption } },
    height: height + SUBTITLE + SLIDER,
    margin: { ...margin, t: margin.t + SUBTITLE, b: margin.b + SLIDER },
    meta: { controlHeight: SLIDER },
    sliders: [
      { active: 0, currentvalue: { prefix: `${parameter} = ` }, pad: { t: margin.b, b: 8 }, len: 1, x: 0, steps },
    ],
  };
  return applyTheme({ ...figure, layout }, theme);
}
