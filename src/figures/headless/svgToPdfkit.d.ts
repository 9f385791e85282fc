declare module "svg-to-pdfkit" {
  /**
   * Draws an SVG document onto the current page of a PDF. `width` and `height` are points, and are used only
   * with a `preserveAspectRatio`.
   */
  export default function svgToPdf(
    document: PDFKit.PDFDocument,
    svg: string,
    x: number,
    y: number,
    options: {
      width: number;
      height: number;
      preserveAspectRatio: string;
      fontCallback: (family: string, bold: boolean, italic: boolean) => string;
    },
  ): void;
}
