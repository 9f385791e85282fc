/** What the page uses of Plotly, which brings no types. */
declare module "plotly.js-dist" {
  interface Plot extends HTMLElement {
    on(event: "plotly_click", listener: (event: { points: { customdata?: unknown }[] }) => void): void;
    removeAllListeners?(event: string): void;
  }
  const Plotly: {
    react(place: HTMLElement, data: readonly object[], layout: object, config: object): Promise<Plot>;
    toImage(place: HTMLElement, options: { format: "png" | "svg"; scale?: number }): Promise<string>;
  };
  export default Plotly;
}
