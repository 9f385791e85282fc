/** Running cells one after the other, on the variables that they share. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { InterruptedError } from "../../dist/errors.js";
import { CellTypeError, compileCells } from "./compileCells.mjs";
import { tslab } from "./typescript.mjs";

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** @param folder of the notebook: relative imports start from there */
export function createCells(folder, interrupts) {
  const compiler = compileCells();
  const executor = tslab.createExecutor(folder, compiler);
  const variables = {};
  let current;

  /** What a cell's code sees as `exports`. A name that the cell declares becomes its own; others are written through. */
  function viewOf(cell) {
    const declare = (name, value) => {
      if (name === cell.lastExpression) cell.value = value;
      else if (!(cell.assigned.has(name) && name in cell.shared))
        Object.defineProperty(variables, name, {
          configurable: true,
          enumerable: true,
          // let and var have one place for all cells: where functions of their cell look.
          ...(cell.shared[name] ?? { value, writable: true }),
        });
      cell.assigned.add(name);
      return true;
    };
    return new Proxy(variables, {
      set: (_, name, value) =>
        cell.declared.has(name) || name === cell.lastExpression
          ? declare(name, value)
          : Reflect.set(variables, name, value),
      // Imports come as getters.
      defineProperty: (_, name, { get, value }) =>
        name === "__esModule" || declare(name, get === undefined ? value : get()),
    });
  }

  Object.assign(globalThis.__tslab__, {
    stopIfInterrupted: interrupts.stopIfInterrupted,
    resumed: interrupts.resumed,
    import: (specifier) => importFrom(folder, String(specifier)),
    meta: { url: pathToFileURL(join(folder, "cell.ts")).href },
    /** Called first by a cell's code, with what reads and writes its let and var variables. */
    share(accessors) {
      current.shared = accessors;
    },
    async run(body) {
      const cell = Object.assign(current, compiler.latest, { assigned: new Set(), shared: {} });
      try {
        // In a turn of its own, so that neither tslab's watch for SIGINT nor its stack is around the cell.
        await interrupts.run(() => turn().then(() => body(viewOf(cell))));
      } catch (error) {
        cell.failure = { error };
      } finally {
        cell.finish(cell.assigned);
      }
    },
  });

  return {
    /** Runs a cell, and shows the value of its last line; throws what the cell throws, CellTypeError included. */
    async execute(code) {
      const cell = (current = {});
      const isCode = await executor.execute(code);
      if (!isCode) throw new SyntaxError("the cell cannot be run");
      if (cell.failure !== undefined) throw cell.failure.error;
      if (cell.value !== undefined && cell.value !== null) await showValue(cell.value);
      // Rejections that nobody awaited are known a turn later.
      await turn();
    },
    executor,
  };
}

/** As the library's show() does; it is loaded for what is not plain. */
async function showValue(value) {
  if (typeof value !== "object") console.log(value);
  else if (value instanceof Promise)
    console.log("a promise, which this cell did not wait for: `await` gives its value");
  else await (await import("../../dist/notebook/show/show.js")).show(value);
}

/** A real import, so that modules may await at their top level; helpers in TypeScript beside the notebook too. */
async function importFrom(folder, specifier) {
  if (/^(file|data|node):/.test(specifier)) return import(specifier);
  const { require } = globalThis.__tslab__;
  let file;
  try {
    file = createRequire(join(folder, "cell.js")).resolve(specifier);
  } catch {
    return require(specifier);
  }
  return import(/^(\/|[a-z]:)/i.test(file) ? pathToFileURL(file).href : file);
}

/** An error as Jupyter shows it: without the frames of the kernel. */
export function describeError(error) {
  const isError = error instanceof Error;
  const own = /node:(internal|vm|async_hooks)|notebooks\/kernel\/|tslab\/dist\//;
  const isPlain = error instanceof InterruptedError || error instanceof CellTypeError;
  const text = isPlain ? `${error.name}: ${error.message}` : inspect(error);
  return {
    ename: isError ? error.name : "Thrown",
    evalue: isError ? error.message : String(text),
    traceback: text
      .split("\n")
      .filter((line) => !/^\s+at /.test(line) || !own.test(line.replaceAll("\\", "/")))
      // Its lines are those of the code that TypeScript made of the cell.
      .map((line) => line.replace(/evalmachine\.<anonymous>:\d+:\d+/, "cell")),
  };
}
