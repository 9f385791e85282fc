/** Halvings of [0, ½]: finer than a float64 can tell apart. */
const BISECTIONS = 100;

/** Terms of the series below; each is less than half of the one before. */
const SERIES_TERMS = 64;

/**
 * The quantile function of the symmetric Beta(shape, shape) distribution (scipy.stats.beta.ppf), by bisection.
 *
 * @param probability from 0 to 1
 */
export function betaQuantile(probability: number, shape: number): number {
  if (probability > 0.5) return 1 - betaQuantile(1 - probability, shape);
  const target = 2 * probability * incompleteBeta(0.5, shape);
  let low = 0;
  let high = 0.5;
  for (let i = 0; i < BISECTIONS; i += 1) {
    const middle = (low + high) / 2;
    if (incompleteBeta(middle, shape) < target) low = middle;
    else high = middle;
  }
  return high;
}

/** ∫_0^x (t (1 − t))^(shape − 1) dt for x up to ½, by the power series of (1 − t)^(shape − 1). */
function incompleteBeta(x: number, shape: number): number {
  let sum = 0;
  let coefficient = 1;
  for (let n = 0; n < SERIES_TERMS; n += 1) {
    sum += (coefficient * x ** (shape + n)) / (shape + n);
    coefficient *= (n + 1 - shape) / (n + 1);
  }
  return sum;
}
