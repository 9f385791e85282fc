export { DEFAULT_METRICS, evaluate } from "./evaluate.js";
export type { EvaluateOptions } from "./evaluate.js";
export type { Estimate, EvaluatedSetting, Evaluation, EvaluationSampling, MetricResult } from "./evaluation.js";
export { EVALUATION_FILE, loadEvaluation } from "./evaluationFile.js";
export { PAPER_SOURCE, PAPER_TABLE_1, paperRowOf } from "./paperTable.js";
export type { PaperRow } from "./paperTable.js";
export { pictureName } from "./makePictures.js";
export { evaluationCsv, evaluationTable } from "./table.js";
