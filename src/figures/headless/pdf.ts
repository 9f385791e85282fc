import { buffer } from "node:stream/consumers";
import PDFDocument from "pdfkit";
import svgToPdf from "svg-to-pdfkit";
import { FONT_FILES } from "./fonts.js";

/**
 * Plotly's SVG document as one page of vector PDF, with the bundled font embedded. Equal documents give equal bytes:
 * the page carries no date.
 *
 * @param pointsPerPixel points of 1/72 inch that a pixel of the document becomes
 */
export async function svgPdf(svg: string, pointsPerPixel: number): Promise<Buffer> {
  const [, width, height] = /<svg[^>]*?width="([\d.]+)"[^>]*?height="([\d.]+)"/.exec(svg) ?? [];
  const size: [number, number] = [Number(width) * pointsPerPixel, Number(height) * pointsPerPixel];
  const document = new PDFDocument({ size, margin: 0, info: { Creator: "blockcache", CreationDate: new Date(0) } });
  // PDFKit derives the document's id from its date; from here on the date, and the metadata that repeat it, are not
  // wanted.
  delete document.info.CreationDate;
  document.endMetadata = () => undefined;
  document.registerFont("regular", FONT_FILES.regular);
  document.registerFont("bold", FONT_FILES.bold);
  svgToPdf(document, svg, 0, 0, {
    width: size[0],
    height: size[1],
    // Without it the drawing keeps its own size, and is cut where the page ends.
    preserveAspectRatio: "xMinYMin meet",
    fontCallback: (_family, bold) => (bold ? "bold" : "regular"),
  });
  const bytes = buffer(document);
  document.end();
  return bytes;
}
