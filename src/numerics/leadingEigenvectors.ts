import { PCA } from "ml-pca";

/** The largest eigenvalues of a symmetric matrix, descending, and their unit eigenvectors. */
export interface Eigenpairs {
  /** float64 [k]. */
  readonly values: Float64Array;
  /** float64 [k, size], one eigenvector per row; their signs are arbitrary. */
  readonly vectors: Float64Array;
}

/**
 * Up to this size ml-pca decomposes the whole matrix (10 ms at 96). Its cost grows with the cube:
 * 0.3 s at 320, 2.1 s at 640, 15.6 s at 1280 (Node 20, one core).
 */
const WHOLE_MATRIX_SIZE = 96;
/** Extra start vectors: they speed convergence up and find eigenvalues that are repeated. */
const OVERSAMPLING = 5;
/** Accepted ‖A v − λ v‖ as a share of the largest eigenvalue. */
const RESIDUAL_TOLERANCE = 1e-11;
/** The pairs are computed whenever the space has grown by this factor: each time costs its size cubed. */
const GROWTH_BETWEEN_LOOKS = 1.25;
/** A direction that keeps less than this share of its length is already inside the space. */
const DEPENDENT_SHARE = 1e-10;

/**
 * The k leading eigenpairs of a symmetric positive semi-definite matrix [size, size].
 *
 * A large matrix is first compressed to a block Krylov space span{B, AB, A²B, …} with
 * orthonormal basis Q and start block B of fixed pseudo-random signs (Golub and Van Loan,
 * Matrix Computations, section 10.3.6), grown until each of the k pairs satisfies
 * ‖A v − λ v‖ ≤ 1e-11 λ₁; ml-pca decomposes the small matrix Q A Qᵀ. Where the space
 * would grow past half the size, ml-pca takes the whole matrix.
 */
export function leadingEigenpairs(matrix: Float64Array, size: number, k: number): Eigenpairs {
  if (size <= WHOLE_MATRIX_SIZE) return wholeMatrix(matrix, size, k);

  const blockSize = k + OVERSAMPLING;
  const basis: Float64Array[] = [];
  const images: Float64Array[] = [];
  const projected: number[][] = [];
  let block = startBlock(blockSize, size);
  let nextLook = 0;

  while (basis.length + blockSize <= size / 2) {
    const added = appendOrthonormal(basis, block);
    const addedImages = added.map((vector) => multiply(matrix, size, vector));
    images.push(...addedImages);
    for (let row = projected.length; row < basis.length; row++) {
      projected[row] = [];
      for (let column = 0; column <= row; column++) {
        const value = dot(basis[column], images[row]);
        projected[row][column] = value;
        projected[column][row] = value;
      }
    }
    // An empty block means that the space is invariant: its eigenpairs are the matrix's own.
    const isInvariant = added.length === 0;
    if (isInvariant || basis.length >= nextLook) {
      nextLook = basis.length * GROWTH_BETWEEN_LOOKS;
      const small = smallEigenpairs(projected, k);
      const pairs = expand(small, basis);
      if (isInvariant || largestResidual(small, pairs, images) <= RESIDUAL_TOLERANCE * pairs.values[0]) return pairs;
    }
    block = addedImages;
  }
  return wholeMatrix(matrix, size, k);
}

function wholeMatrix(matrix: Float64Array, size: number, k: number): Eigenpairs {
  const rows = Array.from({ length: size }, (_, row) => Array.from(matrix.subarray(row * size, (row + 1) * size)));
  return smallEigenpairs(rows, k);
}

function smallEigenpairs(rows: number[][], k: number): Eigenpairs {
  const pca = new PCA(rows, { isCovarianceMatrix: true });
  const columns = pca.getEigenvectors();
  const vectors = new Float64Array(k * rows.length);
  for (let component = 0; component < k; component++) {
    vectors.set(columns.getColumn(component), component * rows.length);
  }
  return { values: Float64Array.from(pca.getEigenvalues().slice(0, k)), vectors };
}

/** Eigenvectors in the coordinates of the basis, [k, basis], to the whole space, [k, size]. */
function expand(small: Eigenpairs, basis: readonly Float64Array[]): Eigenpairs {
  const size = basis[0].length;
  const vectors = new Float64Array(small.values.length * size);
  for (let component = 0; component < small.values.length; component++) {
    const vector = vectors.subarray(component * size, (component + 1) * size);
    basis.forEach((direction, index) => addScaled(vector, direction, small.vectors[component * basis.length + index]));
  }
  return { values: small.values, vectors };
}

/** max over the pairs of ‖A v − λ v‖, from A Qᵀ, which is already known. */
function largestResidual(small: Eigenpairs, pairs: Eigenpairs, images: readonly Float64Array[]): number {
  const size = images[0].length;
  let largest = 0;
  for (let component = 0; component < pairs.values.length; component++) {
    const residual = new Float64Array(size);
    images.forEach((image, index) => addScaled(residual, image, small.vectors[component * images.length + index]));
    addScaled(residual, pairs.vectors.subarray(component * size, (component + 1) * size), -pairs.values[component]);
    largest = Math.max(largest, Math.sqrt(dot(residual, residual)));
  }
  return largest;
}

/** Makes each vector orthonormal to the basis, appends it, and returns those that were new directions. */
function appendOrthonormal(basis: Float64Array[], block: readonly Float64Array[]): Float64Array[] {
  const added: Float64Array[] = [];
  for (const vector of block) {
    const original = Math.sqrt(dot(vector, vector));
    const direction = Float64Array.from(vector);
    // Twice is enough: one Gram-Schmidt pass loses orthogonality by cancellation.
    for (let pass = 0; pass < 2; pass++) {
      for (const previous of basis) addScaled(direction, previous, -dot(previous, direction));
    }
    const length = Math.sqrt(dot(direction, direction));
    if (length <= DEPENDENT_SHARE * original) continue;
    for (let index = 0; index < direction.length; index++) direction[index] /= length;
    basis.push(direction);
    added.push(direction);
  }
  return added;
}

/** Vectors of ±1 from a fixed linear congruential generator, so that a fit is repeatable. */
function startBlock(blockSize: number, size: number): Float64Array[] {
  let state = 1;
  return Array.from({ length: blockSize }, () =>
    Float64Array.from({ length: size }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state >= 0x80000000 ? 1 : -1;
    }),
  );
}

function multiply(matrix: Float64Array, size: number, vector: Float64Array): Float64Array {
  return Float64Array.from({ length: size }, (_, row) => dot(matrix.subarray(row * size, (row + 1) * size), vector));
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let index = 0; index < a.length; index++) sum += a[index] * b[index];
  return sum;
}

function addScaled(target: Float64Array, vector: Float64Array, scale: number): void {
  for (let index = 0; index < target.length; index++) target[index] += scale * vector[index];
}
