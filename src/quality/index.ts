export { psnr, relativeDistances } from "./distance.js";
export { onParetoFront } from "./dominance.js";
export type { CostAndError } from "./dominance.js";
export { plainAtLatency } from "./equalLatency.js";
export type { PlainRun } from "./equalLatency.js";
export { pairedRatio } from "./pairedRatio.js";
export type { RatioInterval } from "./pairedRatio.js";
export { ssim } from "./ssim.js";
