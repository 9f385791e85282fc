const { builtinModules } = require("node:module");

/** `blockcache/planning` runs in a browser: it brings none of Node's modules with it, no engine and no files. */
module.exports = {
  forbidden: [
    {
      name: "planning-runs-in-a-browser",
      severity: "error",
      from: { path: "^src/planning/" },
      to: { path: `^(node:)?(${builtinModules.join("|")})$`, reachable: true },
    },
    {
      name: "planning-brings-no-model",
      severity: "error",
      from: { path: "^src/planning/" },
      to: {
        path: "^src/files/(?!schemaProblem)|^src/(models|jobs)/|^src/engine/(?!network/liveness)|onnxruntime|koffi",
        reachable: true,
      },
    },
  ],
  options: {
    // Types are gone when a page is built.
    tsPreCompilationDeps: false,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
  },
};
