/** tslab and its TypeScript, with the compiler options of ordinary TypeScript modules. */
import { createRequire } from "node:module";
import { rewriteCell } from "./rewriteCell.mjs";

const require = createRequire(import.meta.url);
const compiler = require.resolve("@tslab/typescript-for-tslab");
const original = require(compiler);

/** That something is `any` because nothing says what it is: no fault in a cell, which is written to be tried. */
const isImplicitAny = ({ code }) => code >= 7000 && code < 7100;

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
  getPreEmitDiagnosticsOfFiles: (...given) =>
    original.getPreEmitDiagnosticsOfFiles(...given).filter((diagnostic) => !isImplicitAny(diagnostic)),
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
