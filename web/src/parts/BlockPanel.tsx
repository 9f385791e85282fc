import type { AttentionRow } from "../../../src/live/worker.js";
import { percent } from "../format.js";
import { savePicture } from "../save.js";
import { ask, model, selectedBlock, settings, strip } from "../store.js";
import { BlockCard } from "./BlockCard.js";

/** The block that is looked at: its first three principal components over the run, and where it looks. */
export function BlockPanel() {
  const block = model.value?.blocks.find(({ id }) => id === selectedBlock.value);
  if (block === undefined) return <p class="waiting">Choose a block of the network.</p>;
  const view = strip.value?.block === block.id ? strip.value : undefined;
  const attention = view?.strip?.attention;
  const isStale = view !== undefined && JSON.stringify(view.settings) !== JSON.stringify(settings.value);
  return (
    <>
      <BlockCard block={block} saves />
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
      {attention !== undefined && (
        <>
          <AttentionRows
            title="Attention to the prompt"
            note="A map an evaluation, as above; each token has a scale of its own, and its share of all attention beside it."
            {...{ block: block.id, rows: attention.text, isStale }}
          />
          {attention.pixels.length > 0 && (
            <AttentionRows
              title="Attention from a pixel to the others"
              note="The pixel is the red one; each row has a scale of its own."
              {...{ block: block.id, rows: attention.pixels, isStale }}
            />
          )}
        </>
      )}
    </>
  );
}

interface AttentionRowsProps {
  readonly title: string;
  readonly note: string;
  readonly block: string;
  readonly rows: readonly AttentionRow[];
  readonly isStale: boolean;
}

function AttentionRows({ title, note, block, rows, isStale }: AttentionRowsProps) {
  return (
    <section class="attention">
      <h3>{title}</h3>
      <p>{note}</p>
      <table>
        <caption class="unseen">{title}</caption>
        <tbody>
          {rows.map(({ label, share, picture }, row) => (
            <tr key={row}>
              <th scope="row">
                {label}
                {share !== undefined && <span>{percent(share)}</span>}
              </th>
              <td>
                <img src={picture} alt={`attention, ${label}`} class={isStale ? "coarse old" : "coarse"} />
              </td>
              <td>
                <button
                  class="small"
                  aria-label={`Save the attention maps: ${label}`}
                  onClick={() => savePicture(picture, `${block}-attention-${row}.png`)}
                >
                  Save
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
