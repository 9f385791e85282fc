/** Data flows one way, through the folders below in their order. */
const order = [
  "numerics",
  "files",
  "models",
  "graphs",
  "engine",
  "diffusion",
  "jobs",
  "instrument",
  "caching",
  "quality",
  "study",
  "survey",
  "figures",
  "planning",
  "live",
  "server",
  "notebook",
  "cli",
];

module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    ...order.slice(0, -1).map((folder, index) => ({
      name: `${folder}-looks-back-only`,
      severity: "error",
      from: { path: `^src/${folder}/` },
      to: { path: `^src/(${order.slice(index + 1).join("|")})/` },
    })),
    {
      name: "cli-shows-nothing-in-jupyter",
      severity: "error",
      from: { path: "^src/cli/" },
      to: { path: "^src/notebook/" },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
  },
};
