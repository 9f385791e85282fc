/**
 * A·Bᵀ of row-major matrices, two rows by two columns at a time so that each loaded value serves twice.
 *
 * @param a [rows, width]
 * @param b [columns, width]
 * @returns [rows, columns]
 */
export function productWithTranspose(a: Float64Array, b: Float64Array, width: number): Float64Array {
  const [rows, columns] = [a.length / width, b.length / width];
  const product = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row += 2) {
    const nextRow = Math.min(row + 1, rows - 1);
    for (let column = 0; column < columns; column += 2) {
      const nextColumn = Math.min(column + 1, columns - 1);
      const [a0, a1, b0, b1] = [row * width, nextRow * width, column * width, nextColumn * width];
      let s00 = 0;
      let s01 = 0;
      let s10 = 0;
      let s11 = 0;
      for (let index = 0; index < width; index++) {
        const x0 = a[a0 + index];
        const x1 = a[a1 + index];
        const y0 = b[b0 + index];
        const y1 = b[b1 + index];
        s00 += x0 * y0;
        s01 += x0 * y1;
        s10 += x1 * y0;
        s11 += x1 * y1;
      }
      product[row * columns + column] = s00;
      product[row * columns + nextColumn] = s01;
      product[nextRow * columns + column] = s10;
      product[nextRow * columns + nextColumn] = s11;
    }
  }
  return product;
}

/** [rows, columns] → [columns, rows] */
export function transposedMatrix(matrix: Float64Array, columns: number): Float64Array {
  const rows = matrix.length / columns;
  const result = new Float64Array(matrix.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) result[column * rows + row] = matrix[row * columns + column];
  return result;
}
