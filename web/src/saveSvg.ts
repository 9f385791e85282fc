import { save } from "./save.js";

/** A drawing as a file of its own. */
export function saveSvg(drawing: SVGSVGElement | null, name: string): void {
  if (drawing === null) return;
  const copy = drawing.cloneNode(true) as SVGSVGElement;
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  save(new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" }), name);
}
