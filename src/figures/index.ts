export { adjustmentMaps, chartedAdjustments } from "./charts/adjustmentMaps.js";
export type { AdjustmentMapsOptions, ChartedAdjustment } from "./charts/adjustmentMaps.js";
export { blockMapChart } from "./charts/blockMapChart.js";
export type { BlockMapChartOptions } from "./charts/blockMapChart.js";
export { changeCurves } from "./charts/changeCurves.js";
export type { ChangeCurveOptions } from "./charts/changeCurves.js";
export { changeHeatMap } from "./charts/changeHeatMap.js";
export type { ChangeHeatMapOptions } from "./charts/changeHeatMap.js";
export { errorByStep } from "./charts/errorByStep.js";
export type { ErrorByStepOptions, StepErrors } from "./charts/errorByStep.js";
export { evaluationChart } from "./charts/evaluationChart.js";
export type {
  ChartedSetting,
  EvaluatedValue,
  EvaluationMetric,
  EvaluationChartInput,
} from "./charts/evaluationChart.js";
export { FIGURE_FORMATS, exportFigure } from "./headless/export.js";
export type { ExportOptions } from "./headless/export.js";
export type { PlotlyFigure, PlotlyObject } from "./figure.js";
export { pcaStrips } from "./charts/pcaStrips.js";
export type { PcaStripsInput } from "./charts/pcaStrips.js";
export { imageComparison } from "./charts/imageComparison.js";
export type { ComparedSetting, ImageComparisonInput } from "./charts/imageComparison.js";
export { imageGrid } from "./charts/imageGrid.js";
export type { ComparedImages, ImageGridOptions } from "./charts/imageGrid.js";
export { imageStrips } from "./charts/imageStrips.js";
export type { ImageStripsInput, Strip, StripColumn } from "./charts/imageStrips.js";
export { kindsAblation } from "./charts/kindsAblation.js";
export type { KindsAblationInput, KindsArm } from "./charts/kindsAblation.js";
export { COST_AXES } from "./charts/armCost.js";
export type { CostAxis } from "./charts/armCost.js";
export { pareto } from "./charts/pareto.js";
export type { ParetoOptions } from "./charts/pareto.js";
export { scheduleChart } from "./charts/scheduleChart.js";
export type { ScheduleChartOptions } from "./charts/scheduleChart.js";
export { speedupScatter } from "./charts/speedupScatter.js";
export type { SpeedupScatterOptions } from "./charts/speedupScatter.js";
export { sweepCurves } from "./charts/sweepCurves.js";
export type { SweepCurvesOptions } from "./charts/sweepCurves.js";
export type { SweepPictures, SweepSetting } from "./charts/sweepPictures.js";
export { sweepSlider } from "./charts/sweepSlider.js";
export type { SweepSliderOptions } from "./charts/sweepSlider.js";
export { sweepStrips } from "./charts/sweepStrips.js";
export type { SweepStripsOptions } from "./charts/sweepStrips.js";
export { tableOne } from "./charts/tableOne.js";
export type { TableOneOptions } from "./charts/tableOne.js";
export { applyTheme } from "./theme.js";
export type { Theme } from "./theme.js";
