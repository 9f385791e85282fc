export { differenceMap } from "./differenceMap.js";
export { psnr, relativeDistances } from "./distance.js";
export { pairedRatio } from "./pairedRatio.js";
export type { RatioInterval } from "./pairedRatio.js";
