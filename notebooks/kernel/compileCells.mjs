/** tslab's converter, for cells that are ordinary TypeScript. */
import { declaredNames, selectValues, withNameableTypes, withoutExports } from "./declarations.mjs";
import { tslab, warnings } from "./typescript.mjs";

/** What TypeScript finds wrong in a cell, before anything of it runs. */
export class CellTypeError extends Error {
  name = "TypeScriptError";

  constructor(diagnostics) {
    const lines = diagnostics.map(
      ({ fileName, start, messageText }) =>
        `${fileName ? `${fileName} ` : ""}${start.line + 1}:${start.character + 1} - ${messageText}`,
    );
    super(lines.join("\n"));
  }
}

/** Where TypeScript's module begins: every name that it exports set to undefined, values of earlier cells too. */
const NAMES_CLEARED = /^(?:(?:exports\.[^\s=]+ = )+void 0;\n)+/m;

/**
 * A converter for tslab's executor, and the cell that it converted last. The code it makes of a cell hands the
 * cell's body to `__tslab__.run` (runCells.mjs).
 */
export function compileCells() {
  const converter = tslab.createConverter({ isJS: false, isBrowser: false });
  /** of the cells that ran so far */
  let declarations = "";
  let latest;

  function convert(_earlier, given) {
    let source = withoutExports(given);
    warnings.reset();
    let converted = converter.convert(declarations, source);
    const annotated = withNameableTypes(source, converted.diagnostics);
    if (annotated !== undefined) {
      source = annotated;
      warnings.reset();
      converted = converter.convert(declarations, source);
    }
    const { diagnostics, declOutput, output, lastExpressionVar, sideOutputs } = converted;
    if (diagnostics.length > 0) throw new CellTypeError(diagnostics);
    if (warnings.lines.length > 0) console.warn(warnings.lines.join("\n"));
    const earlier = declarations;
    const { variables, constants } = declaredNames(source);
    const declared = new Set([...variables, ...constants]);
    latest = {
      declared,
      lastExpression: lastExpressionVar,
      /** Later cells see the names that this one gave a value; the others are as they were before it. */
      finish(assigned) {
        const isLost = (name) => declared.has(name) && !assigned.has(name);
        declarations = selectValues(declOutput, (name) => !isLost(name)) + selectValues(earlier, isLost, false);
      },
    };
    const shared = variables.map((name) => `${name}: { get: () => ${name}, set: (value) => { ${name} = value; } },`);
    const hasNames = declared.size > 0 || lastExpressionVar !== undefined;
    const body = hasNames ? output.replace(NAMES_CLEARED, `__tslab__.share({${shared.join(" ")}});\n`) : output;
    return {
      output: `return __tslab__.run(async (exports) => {\n${body}\n});`,
      sideOutputs,
      diagnostics: [],
      hasToplevelAwait: true,
    };
  }

  return {
    get latest() {
      return latest;
    },
    node: {
      convert,
      inspect: (_earlier, source, position) => converter.inspect(declarations, withoutExports(source), position),
      complete: (_earlier, source, position) => converter.complete(declarations, withoutExports(source), position),
      addModule: converter.addModule,
    },
    close: converter.close,
  };
}
