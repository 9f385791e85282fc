import { savePicture } from "../save.js";
import { ask, model, selectedBlock, shown } from "../store.js";
import { BlockCard } from "./BlockCard.js";

/** The block that is looked at, and its first three principal components over the run. */
export function BlockPanel() {
  const block = model.value?.blocks.find(({ id }) => id === selectedBlock.value);
  if (block === undefined) return <p class="waiting">Choose a block of the network.</p>;
  const view = shown.value?.strip?.block === block.id ? shown.value.strip : undefined;
  const isStale = view !== undefined && JSON.stringify(view.settings) !== JSON.stringify(shown.value?.settings);
  return (
    <>
      <BlockCard block={block} />
      <h3>First three principal components of C</h3>
      <p class={isStale ? "banner stale" : "banner"} role="status">
        {view === undefined
          ? "–"
          : view.state === "computing"
            ? "Computing a plain run …"
            : view.state === "failed"
              ? `Failed: ${view.problem}`
              : view.state === "stopped"
                ? "Stopped."
                : isStale
                  ? "Stale: of other settings."
                  : "Of a plain run with the settings shown; equal colours are equal values."}
      </p>
      <div class="strip">
        {view?.strip?.pictures.map((picture, index) => (
          <figure key={view.strip?.evaluations[index]}>
            <img
              src={picture}
              alt={`components at evaluation ${view.strip?.evaluations[index]}`}
              class={isStale ? "coarse old" : "coarse"}
            />
            <figcaption>
              {view.strip?.evaluations[index]}, t {Math.round(view.strip?.timesteps[index] ?? 0)}
            </figcaption>
          </figure>
        ))}
      </div>
      <div class="run">
        <button onClick={() => ask({ command: "look", block: block.id })}>Look again</button>
        <button
          disabled={view?.strip === undefined}
          onClick={() =>
            view?.strip?.pictures.forEach((picture, index) =>
              savePicture(picture, `${block.id}-${view.strip?.evaluations[index]}.png`),
            )
          }
        >
          Save pictures
        </button>
      </div>
    </>
  );
}
