/** What can be shown, and as what: the first view that takes a value shows it. */
import type { Costs } from "../../caching/costs/costs.js";
import { FORMAT as SCHEDULE_FORMAT } from "../../caching/schedule/checkSchedule.js";
import type { Schedule } from "../../caching/schedule/schedule.js";
import type { RgbImage } from "../../diffusion/image.js";
import { changeCurves } from "../../figures/charts/changeCurves.js";
import { pareto } from "../../figures/charts/pareto.js";
import { scheduleChart } from "../../figures/charts/scheduleChart.js";
import { tableOne } from "../../figures/charts/tableOne.js";
import type { Profile } from "../../instrument/profile/profile.js";
import { median } from "../../instrument/profile/statistics.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import type { Evaluation } from "../../study/evaluation/evaluation.js";
import type { StudyResult } from "../../study/result.js";
import type { MimeBundle } from "../jupyter.js";
import { figureBundle } from "./figureBundle.js";
import { picturesBundle } from "./picturesBundle.js";
import { isTableRow, tableBundle } from "./tableBundle.js";
import { tensorMaps } from "./tensorMaps.js";

type Fields = Readonly<Record<string, unknown>>;

interface View {
  readonly takes: (value: Fields) => boolean;
  readonly bundle: (value: never, captions: readonly string[]) => MimeBundle | Promise<MimeBundle>;
}

/** Tensors side by side are smaller than pictures: a network has hundreds of channels. */
const MAP_PIXELS = 96;

const VIEWS: readonly View[] = [
  { takes: isFigure, bundle: figureBundle },
  {
    takes: ({ html }) => typeof html === "string",
    bundle: ({ html }: { html: string }) => ({
      "text/html": html,
      "text/plain": html.replace(/<[^>]*>/g, " ").trim(),
    }),
  },
  { takes: isImage, bundle: (image: RgbImage, captions) => pictures([image], captions) },
  { takes: isTensor, bundle: (tensor: FloatTensor) => maps(tensor) },
  {
    takes: ({ format }) => format === SCHEDULE_FORMAT,
    bundle: (schedule: Schedule) => figureBundle(scheduleChart(schedule)),
  },
  {
    takes: ({ setting, trajectories, blocks, values }) => [setting, trajectories, blocks, values].every(isFields),
    bundle: (profile: Profile) => figureBundle(changeCurves(profile)),
  },
  {
    takes: ({ format }) => format === "blockcache-study",
    bundle: (study: StudyResult) => figureBundle(pareto(study)),
  },
  {
    takes: ({ format }) => format === "blockcache-evaluation",
    bundle: (evaluation: Evaluation) => figureBundle(tableOne(evaluation)),
  },
  { takes: ({ setting, compute, reuse, rest }) => [setting, compute, reuse, rest].every(isFields), bundle: costs },
  // What generate() and live() return.
  {
    takes: ({ images }) => isFilled(images, isImage),
    bundle: ({ images }: { images: readonly RgbImage[] }, captions) => pictures(images, captions),
  },
  {
    takes: (value) => isFilled(value, isImage),
    bundle: (images: readonly RgbImage[], captions) => pictures(images, captions),
  },
  { takes: (value) => isFilled(value, isTableRow), bundle: tableBundle },
  // label → picture
  {
    takes: (value) => !Array.isArray(value) && isFilled(Object.values(value), isImage),
    bundle: (labelled: Readonly<Record<string, RgbImage>>) =>
      picturesBundle(Object.entries(labelled).map(([caption, image]) => ({ image, caption }))),
  },
];

/** A value in the forms that a notebook shows; undefined where no view takes it. */
export async function bundleOf(value: unknown, captions: readonly string[] = []): Promise<MimeBundle | undefined> {
  const view = isFields(value) ? VIEWS.find(({ takes }) => takes(value)) : undefined;
  return view?.bundle(value as never, captions);
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null;
}

function isFilled(value: unknown, isMember: (member: Fields) => boolean): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((member) => isFields(member) && isMember(member));
}

function isFigure({ data, layout }: Fields): boolean {
  return Array.isArray(data) && isFields(layout);
}

function isImage({ width, height, rgb }: Fields): boolean {
  return typeof width === "number" && typeof height === "number" && ArrayBuffer.isView(rgb);
}

function isTensor({ dims, data }: Fields): boolean {
  return Array.isArray(dims) && data instanceof Float32Array && data.length > 0;
}

function pictures(images: readonly RgbImage[], captions: readonly string[]): Promise<MimeBundle> {
  return picturesBundle(images.map((image, index) => ({ image, caption: captions[index] })));
}

function maps(tensor: FloatTensor): Promise<MimeBundle> {
  const { title, maps } = tensorMaps(tensor);
  return picturesBundle(maps, { title, pixels: MAP_PIXELS });
}

/** Medians, in milliseconds. */
function costs({ compute, reuse }: Costs): MimeBundle {
  const milliseconds = (seconds: Float64Array | undefined): number | undefined =>
    seconds === undefined ? undefined : 1000 * median(seconds);
  return tableBundle(
    Object.keys(compute).map((id) => ({
      block: id,
      "compute ms": milliseconds(compute[id]),
      "reuse ms": milliseconds(reuse[id]),
    })),
  );
}
