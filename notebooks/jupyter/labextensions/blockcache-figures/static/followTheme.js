/**
 * Figures of blockcache follow JupyterLab's theme, light or dark. An extension of JupyterLab, found through
 * JUPYTER_PATH and written without a build: it works in notebooks that are not trusted too, where a script in an
 * output would be taken away.
 */
(() => {
  /** graph → the template that it came with */
  const originals = new WeakMap();
  let waiting = false;

  /** The theme's colours under the names that they have in the library (`src/figures/theme.ts`). */
  function themeInk() {
    const css = getComputedStyle(document.body);
    const colour = (name) => css.getPropertyValue(name).trim();
    return {
      paper: colour("--jp-layout-color0"),
      text: colour("--jp-content-font-color1"),
      faint: colour("--jp-content-font-color2"),
      grid: colour("--jp-border-color2"),
    };
  }

  function inkOf({ layout }) {
    return {
      paper: layout.paper_bgcolor,
      text: layout.font.color,
      faint: layout.xaxis.linecolor,
      grid: layout.xaxis.gridcolor,
    };
  }

  /** The template with each colour of its ink replaced by the theme's. */
  function inTheme(template, ink) {
    const names = new Map(Object.entries(inkOf(template)).map(([name, colour]) => [colour, name]));
    return JSON.parse(JSON.stringify(template), (_key, value) => (names.has(value) ? ink[names.get(value)] : value));
  }

  /** Figures made for print keep their look, and so does what is not ours. */
  function follow() {
    waiting = false;
    const theme = document.body.dataset.jpThemeName;
    for (const graph of document.querySelectorAll(".jp-RenderedPlotly.js-plotly-plot")) {
      const { meta, template } = graph.layout ?? {};
      if (!["light", "dark"].includes(meta?.theme) || graph.dataset.theme === theme || !window.Plotly) continue;
      graph.dataset.theme = theme;
      if (!originals.has(graph)) originals.set(graph, template);
      window.Plotly.relayout(graph, { template: inTheme(originals.get(graph), themeInk()) });
    }
  }

  function followSoon() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(follow);
  }

  const plugin = {
    id: "blockcache-figures:follow-theme",
    autoStart: true,
    activate: () => {
      const observer = new MutationObserver(followSoon);
      observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name"] });
      // A figure is drawn when its cell ran, or is scrolled into view.
      observer.observe(document.body, { childList: true, subtree: true });
    },
  };

  // What JupyterLab expects of a module that is loaded at run time (webpack's module federation).
  window._JUPYTERLAB ??= {};
  window._JUPYTERLAB["blockcache-figures"] = {
    init: () => undefined,
    get: () => Promise.resolve(() => ({ __esModule: true, default: plugin })),
  };
})();
