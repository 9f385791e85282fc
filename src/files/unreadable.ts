/** What is found where a file cannot be read. */
export function unreadable(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
  return code === "ENOENT" ? "no such file" : `no readable file (${code})`;
}
