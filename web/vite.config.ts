import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

/** The page becomes files in dist/web; its addresses are relative to where the server puts it. */
export default defineConfig({
  root: path("."),
  base: "./",
  resolve: { alias: { "blockcache/planning": path("../src/planning/index.ts") } },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: path("../dist/web"),
    emptyOutDir: true,
    target: "es2022",
    // The policy of the page allows no data: fonts and scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: [path("./index.html"), path("./inputs.html")] },
    // Plotly comes only when something is judged.
    chunkSizeWarningLimit: 6000,
  },
});
