import { SET_METRICS } from "../../quality/metrics.js";
import { PAPER_SOURCE, paperRowOf } from "../../study/evaluation/paperTable.js";
import type { PaperRow } from "../../study/evaluation/paperTable.js";
import type { EvaluatedSetting, Evaluation } from "../../study/evaluation/evaluation.js";
import type { PlotlyFigure } from "../figure.js";
import { evaluationChart } from "./evaluationChart.js";
import type { EvaluatedValue, EvaluationMetric } from "./evaluationChart.js";
import type { Theme } from "../theme.js";

export interface TableOneOptions {
  readonly title?: string;
  readonly theme?: Theme;
}

interface Column extends EvaluationMetric {
  of(setting: EvaluatedSetting): EvaluatedValue | undefined;
}

/** Decimals that show a CLIP score's small differences; other metrics have two. */
const DECIMALS: Readonly<Record<string, number>> = { "clip-score": 4 };

/**
 * An evaluation as the paper's Table 1: every metric of sets of pictures, images per second and speed-up of each
 * setting; next to them the paper's own FID and speed-up, where a setting is one of its rows. Metrics are drawn as
 * differences from the baseline, picture by picture, because settings differ far less than sets of prompts do.
 */
export function tableOne(evaluation: Evaluation, { title, theme }: TableOneOptions = {}): PlotlyFigure {
  const { settings, baseline } = evaluation;
  const measured = SET_METRICS.filter(({ name }) => settings.some(({ metrics }) => name in metrics));
  const columns: Column[] = [
    ...measured.map(({ name, title: heading, betterWhen }): Column => {
      const better = betterWhen === "lower" ? "less" : "more";
      const decimals = DECIMALS[name] ?? 2;
      const isCompared = settings.some(({ metrics }) => metrics[name]?.difference !== undefined);
      if (!isCompared) return { title: heading, better, decimals, of: ({ metrics }) => metrics[name] };
      const of = ({ arm, metrics }: EvaluatedSetting): EvaluatedValue | undefined =>
        arm.name === baseline ? { value: 0 } : metrics[name]?.difference;
      return { title: `${heading}<br>− ${baseline}'s`, better, decimals, of };
    }),
    { title: "images a second", better: "more", decimals: 2, of: (setting) => setting.images_per_second },
    { title: "speed-up", better: "more", decimals: 2, of: ({ speedup }) => speedup },
    ...(settings.some(({ arm }) => paperRowOf(arm) !== undefined)
      ? [paperColumn("the paper's FID", "less", ({ fid }) => fid), paperColumn("its speed-up", "more", speedupOf)]
      : []),
  ];
  return evaluationChart({
    metrics: columns,
    settings: settings.map((setting) => ({
      label: setting.arm.name,
      solver: setting.arm.solver,
      steps: setting.arm.steps,
      values: Object.fromEntries(columns.flatMap(({ title: name, of }) => valueOf(name, of(setting)))),
    })),
    reference: baseline,
    title,
    theme,
  });
}

const speedupOf = ({ speedup }: PaperRow): number => speedup;

function paperColumn(title: string, better: "less" | "more", of: (row: PaperRow) => number): Column {
  return {
    ...{ title, better, decimals: 2, source: PAPER_SOURCE },
    of({ arm }) {
      const row = paperRowOf(arm);
      return row && { value: of(row) };
    },
  };
}

function valueOf(name: string, found: EvaluatedValue | undefined): [string, EvaluatedValue][] {
  if (found === undefined || ![found.value, found.low ?? 0, found.high ?? 0].every(Number.isFinite)) return [];
  return [[name, found]];
}
