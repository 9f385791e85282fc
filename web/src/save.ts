/** Gives the user a file: what it is comes from this page, its place from the browser. */
export function save(content: Blob | string, name: string): void {
  const url = URL.createObjectURL(
    typeof content === "string" ? new Blob([content], { type: "application/json" }) : content,
  );
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** A picture that the page has as a data URI. */
export function savePicture(uri: string, name: string): void {
  const [, type = "", base64 = ""] = /^data:([^;]+);base64,(.*)$/.exec(uri) ?? [];
  save(new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], { type }), name);
}
