import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { Script } from "node:vm";
import { Canvas } from "@napi-rs/canvas";
import { JSDOM } from "jsdom";
import type { PlotlyFigure } from "../figure.js";
import { elementBox } from "./textBox.js";

/** What we use of Plotly. */
export interface Plotly {
  toImage(
    figure: PlotlyFigure,
    options: { format: "svg"; imageDataOnly: true; width: number; height: number },
  ): Promise<string>;
}

/** Path of the Plotly library in `node_modules`. */
export const PLOTLY_FILE = createRequire(import.meta.url).resolve("plotly.js-dist");

/**
 * jsdom has neither a canvas (heat maps are painted on one) nor text metrics (axes, legends and
 * margins are laid out by them): both come from @napi-rs/canvas and the bundled font.
 */
function addDrawing(window: JSDOM["window"]): void {
  const canvases = new WeakMap<object, Canvas>();
  const canvasOf = (element: HTMLCanvasElement): Canvas => {
    let canvas = canvases.get(element);
    if (canvas === undefined || canvas.width !== element.width || canvas.height !== element.height) {
      canvas = new Canvas(element.width, element.height);
      canvases.set(element, canvas);
    }
    return canvas;
  };
  const define = (prototype: object, name: string, value: unknown): void => {
    Object.defineProperty(prototype, name, { value, configurable: true, writable: true });
  };
  define(window.HTMLCanvasElement.prototype, "getContext", function (this: HTMLCanvasElement, kind: string) {
    return kind === "2d" ? canvasOf(this).getContext("2d") : null;
  });
  define(window.HTMLCanvasElement.prototype, "toDataURL", function (this: HTMLCanvasElement) {
    return canvasOf(this).toDataURL("image/png");
  });
  const rectangle = (element: Element): object => {
    const box = elementBox(element) ?? { left: 0, top: 0, right: 0, bottom: 0 };
    return { ...box, x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top };
  };
  define(window.Element.prototype, "getBoundingClientRect", function (this: Element) {
    return rectangle(this);
  });
  define(window.SVGElement.prototype, "getBBox", function (this: Element) {
    return rectangle(this);
  });
  define(window.SVGElement.prototype, "getComputedTextLength", function (this: Element) {
    const box = elementBox(this);
    return box === undefined ? 0 : box.right - box.left;
  });
  // Plotly makes such a URL when it loads, for a map worker that is never started here.
  define(window.URL, "createObjectURL", () => "blob:unused");
}

async function loadPlotly(): Promise<Plotly> {
  const dom = new JSDOM("<!doctype html><body></body>", { pretendToBeVisual: true, runScripts: "outside-only" });
  addDrawing(dom.window);
  new Script(await readFile(PLOTLY_FILE, "utf8"), { filename: PLOTLY_FILE }).runInContext(dom.getInternalVMContext());
  return (dom.window as unknown as { Plotly: Plotly }).Plotly;
}

let plotly: Promise<Plotly> | undefined;

/**
 * Plotly inside a jsdom window; loaded at the first call (about a second), once for the process. Where that fails, the
 * next call tries again.
 */
export function plotlyInWindow(): Promise<Plotly> {
  plotly ??= loadPlotly().catch((error: unknown) => {
    plotly = undefined;
    throw error;
  });
  return plotly;
}
