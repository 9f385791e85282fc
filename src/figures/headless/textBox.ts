import { createCanvas, GlobalFonts } from "@napi-rs/canvas";
import { FONT_ASCENT, FONT_DESCENT, FONT_FILES, FONT_NAME } from "./fonts.js";

/** A rectangle in the coordinates of the element that it bounds. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** The font of a run of text. */
interface Style {
  readonly size: number;
  readonly bold: boolean;
}

type Measure = (text: string, style: Style) => number;

function createMeasure(): Measure {
  GlobalFonts.registerFromPath(FONT_FILES.regular, FONT_NAME);
  GlobalFonts.registerFromPath(FONT_FILES.bold, FONT_NAME);
  const context = createCanvas(1, 1).getContext("2d");
  return (text, style) => {
    context.font = `${style.bold ? "bold " : ""}${style.size}px ${FONT_NAME}`;
    return context.measureText(text).width;
  };
}

let measure: Measure | undefined;

/** Width in pixels of one line of text in the bundled font. */
export function textWidth(text: string, style: Style): number {
  measure ??= createMeasure();
  return measure(text, style);
}

function styleOf(element: Element, inherited: Style): Style {
  const css = element.getAttribute("style") ?? "";
  const size = /font-size:\s*([\d.]+)(px|%)?/.exec(css);
  const weight = /font-weight:\s*(\w+)/.exec(css)?.[1];
  return {
    size: size === null ? inherited.size : Number(size[1]) * (size[2] === "%" ? inherited.size / 100 : 1),
    bold: weight === undefined ? inherited.bold : weight === "bold" || Number(weight) >= 600,
  };
}

const TEXT_NODE = 3;

function runWidth(element: Element, inherited: Style): number {
  const style = styleOf(element, inherited);
  let width = 0;
  for (const child of element.childNodes) {
    width +=
      child.nodeType === TEXT_NODE ? textWidth(child.textContent ?? "", style) : runWidth(child as Element, style);
  }
  return width;
}

/** Bounds of an SVG `<text>`, whose lines Plotly keeps in `<tspan class="line" dy="…em">`. */
function textBox(text: Element): Box {
  const style = styleOf(text, { size: 12, bold: false });
  const lines = [...text.children].filter((child) => child.getAttribute("class") === "line");
  const width = lines.length === 0 ? runWidth(text, style) : Math.max(...lines.map((line) => runWidth(line, style)));
  const x = Number(text.getAttribute("x") ?? 0);
  // A line's own dy replaces the text's.
  const shift = lines.length === 0 ? parseFloat(text.getAttribute("dy") ?? "0") * style.size : 0;
  const y = Number(text.getAttribute("y") ?? 0) + shift;
  const anchor = text.getAttribute("text-anchor") ?? /text-anchor:\s*(\w+)/.exec(text.getAttribute("style") ?? "")?.[1];
  const left = x - (anchor === "middle" ? width / 2 : anchor === "end" ? width : 0);
  const drop = lines.length === 0 ? 0 : parseFloat(lines[lines.length - 1]?.getAttribute("dy") ?? "0") * style.size;
  return { left, right: left + width, top: y - FONT_ASCENT * style.size, bottom: y + drop + FONT_DESCENT * style.size };
}

type Point = readonly [x: number, y: number];

/** Applies an SVG `transform` attribute (translate, rotate and scale, as Plotly writes them) to a point. */
function transform(attribute: string, point: Point): Point {
  const steps = [...attribute.matchAll(/(translate|rotate|scale)\(([^)]*)\)/g)].reverse();
  return steps.reduce<Point>(([x, y], [, name, list = ""]) => {
    const numbers = list
      .split(/[\s,]+/)
      .filter((part) => part !== "")
      .map(Number);
    const [a = 0, b, c] = numbers;
    if (name === "translate") {
      return [x + a, y + (b ?? 0)];
    }
    if (name === "scale") {
      return [x * a, y * (b ?? a)];
    }
    const [cos, sin, cx, cy] = [Math.cos((a * Math.PI) / 180), Math.sin((a * Math.PI) / 180), b ?? 0, c ?? 0];
    return [cx + (x - cx) * cos - (y - cy) * sin, cy + (x - cx) * sin + (y - cy) * cos];
  }, point);
}

function union(boxes: readonly Box[]): Box | undefined {
  if (boxes.length === 0) {
    return undefined;
  }
  return {
    left: Math.min(...boxes.map((box) => box.left)),
    top: Math.min(...boxes.map((box) => box.top)),
    right: Math.max(...boxes.map((box) => box.right)),
    bottom: Math.max(...boxes.map((box) => box.bottom)),
  };
}

/**
 * Bounds of an SVG element's texts and rectangles, which is what Plotly asks a browser for when it
 * lays a figure out. `undefined` for an element without any.
 */
export function elementBox(element: Element): Box | undefined {
  let own: Box | undefined;
  if (element.nodeName === "text") {
    own = (element.textContent ?? "") === "" ? undefined : textBox(element);
  } else if (element.nodeName === "rect") {
    const [x, y, width, height] = ["x", "y", "width", "height"].map((name) => Number(element.getAttribute(name) ?? 0));
    own = { left: x ?? 0, top: y ?? 0, right: (x ?? 0) + (width ?? 0), bottom: (y ?? 0) + (height ?? 0) };
  } else {
    own = union([...element.children].map(elementBox).filter((box) => box !== undefined));
  }
  const attribute = element.getAttribute("transform");
  if (own === undefined || attribute === null) {
    return own;
  }
  const corners: Point[] = [
    [own.left, own.top],
    [own.right, own.top],
    [own.left, own.bottom],
    [own.right, own.bottom],
  ];
  const moved = corners.map((corner) => transform(attribute, corner));
  return {
    left: Math.min(...moved.map(([x]) => x)),
    top: Math.min(...moved.map(([, y]) => y)),
    right: Math.max(...moved.map(([x]) => x)),
    bottom: Math.max(...moved.map(([, y]) => y)),
  };
}
