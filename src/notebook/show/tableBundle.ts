import type { MimeBundle } from "../jupyter.js";
import { escapeHtml } from "./escapeHtml.js";

type Plain = string | number | boolean | bigint | null | undefined;

/** A row of a table: column → value. */
export type TableRow = Readonly<Record<string, Plain | readonly Plain[]>>;

/** Records as a table; a column for each key that one of them has. */
export function tableBundle(rows: readonly TableRow[]): MimeBundle {
  const keys = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cells = rows.map((row) => keys.map((key) => formatCell(row[key])));
  const head = keys.map((key) => `<th style="text-align:left">${escapeHtml(key)}</th>`).join("");
  const body = cells
    .map((row) => `<tr>${row.map((cell) => `<td style="text-align:left">${escapeHtml(cell)}</td>`).join("")}</tr>`)
    .join("");
  const widths = keys.map((key, column) => Math.max(key.length, ...cells.map((row) => row[column].length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column]))
      .join("  ")
      .trimEnd();
  return {
    "text/html": `<table><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table>`,
    "text/plain": [keys, ...cells].map(line).join("\n"),
  };
}

/** Whether a value is a record that a table can show. */
export function isTableRow(value: unknown): value is TableRow {
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return false;
  const values = Object.values(value);
  return values.length > 0 && values.every((cell) => isPlain(cell) || (Array.isArray(cell) && cell.every(isPlain)));
}

function isPlain(value: unknown): value is Plain {
  return value === null || !["object", "function", "symbol"].includes(typeof value);
}

function formatCell(value: TableRow[string]): string {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value)) return value.join("×");
  if (typeof value === "number" && Number.isFinite(value) && !Number.isInteger(value))
    return String(Number(value.toPrecision(4)));
  return typeof value === "number" ? value.toLocaleString("en") : String(value);
}
