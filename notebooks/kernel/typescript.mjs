/** tslab and its TypeScript, with the compiler options of ordinary TypeScript modules. */
import { createRequire } from "node:module";
import { rewriteCell } from "./rewriteCell.mjs";

const require = createRequire(import.meta.url);
const compiler = require.resolve("@tslab/typescript-for-tslab");
const original = require(compiler);

/** That something is `any` because nothing says what it is: no fault in a cell, which is written to be tried. */
const isImplicitAny = ({ code }) => code >= 7000 && code < 7100;

/** "Possibly undefined", "of type unknown", "used before being assigned": a cell may know better, and runs. */
const POSSIBLY = [2454, 2531, 2532, 2533, 2571, 2722, 18046, 18047, 18048, 18049];

/** The same, of a value that is handed on: "string | undefined is not assignable to string: undefined is not". */
function isPossibly({ code, messageText }) {
  if (POSSIBLY.includes(code)) return true;
  const [reason] = messageText.next ?? [];
  return (
    /\| (undefined|null)' is not assignable/.test(messageText.messageText) &&
    /^Type '(undefined|null)' is not assignable/.test(reason?.messageText)
  );
}

/** What was found in a cell that runs all the same, a line each; `reset` before a cell is converted. */
export const warnings = {
  lines: [],
  reset() {
    this.lines = [];
  },
  add({ file, start, messageText }) {
    // tslab puts a line before the cell's first, and counts from 0.
    const { line, character } = original.getLineAndCharacterOfPosition(file, start);
    this.lines.push(`${line}:${character + 1} - ${original.flattenDiagnosticMessageText(messageText, " ")}`);
  },
};

/** TypeScript as tslab sees it: strict, with top-level await, `exports` of packages, and cells rewritten as they are emitted. */
export const ts = {
  ...original,
  createWatchCompilerHost: (files, options, ...rest) =>
    original.createWatchCompilerHost(
      files,
      {
        ...options,
        strict: true,
        disableTopLevelAwait: false,
        moduleResolution: original.ModuleResolutionKind.Bundler,
      },
      ...rest,
    ),
  createWatchProgram(host) {
    const { afterProgramCreate } = host;
    host.afterProgramCreate = (builder) => {
      const { emit } = builder;
      builder.emit = (file, write, cancellation, onlyDeclarations, transformers) =>
        emit(file, write, cancellation, onlyDeclarations, {
          ...transformers,
          before: [rewriteCell(original, builder.getProgram().getTypeChecker())],
        });
      afterProgramCreate(builder);
    };
    return original.createWatchProgram(host);
  },
  getPreEmitDiagnosticsOfFiles(...given) {
    const found = original.getPreEmitDiagnosticsOfFiles(...given).filter((diagnostic) => !isImplicitAny(diagnostic));
    for (const diagnostic of found.filter(isPossibly)) warnings.add(diagnostic);
    return found.filter((diagnostic) => !isPossibly(diagnostic));
  },
  transpileModule: (source, { compilerOptions, ...options }) =>
    original.transpileModule(source, {
      ...options,
      compilerOptions: { ...compilerOptions, noImplicitUseStrict: false },
    }),
};

// tslab takes TypeScript from the cache of modules.
require.cache[compiler].exports = ts;

export const tslab = {
  ...require("tslab/dist/converter.js"),
  ...require("tslab/dist/executor.js"),
  ...require("tslab/dist/jupyter.js"),
  /** read by the library's show() on each call, and by tslab's own display */
  jupyterModule: require("tslab/dist/jupyter.js"),
};
