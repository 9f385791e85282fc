/** Says why a file cannot be read, as the "found" of an error message. */
export function unreadable(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
  return code === "ENOENT" ? "no such file" : `no readable file (${code})`;
}
