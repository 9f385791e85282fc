import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { fetchRecipes } from "../connection.js";
import type { Recipes } from "../../../src/live/recipes.js";

/** Code that does what the page shows, to take along. */
export function CopyDialog({ onClose }: { onClose(): void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const recipes = useSignal<Recipes | undefined>(undefined);
  const message = useSignal("");
  useEffect(() => {
    dialog.current?.showModal();
    fetchRecipes().then(
      (found) => (recipes.value = found),
      (error: unknown) => (message.value = error instanceof Error ? error.message : String(error)),
    );
  }, []);
  const copy = async (text: string, what: string): Promise<void> => {
    await navigator.clipboard.writeText(text).then(
      () => (message.value = `Copied as ${what}.`),
      () => (message.value = "The browser does not allow copying: mark the text, and press Ctrl+C."),
    );
  };
  return (
    <dialog ref={dialog} class="copy" aria-labelledby="copy-title" onClose={onClose}>
      <h2 id="copy-title">The same, as code</h2>
      {(
        [
          ["notebook cell", recipes.value?.cell],
          ["command", recipes.value?.command],
        ] as const
      ).map(([what, text]) => (
        <section key={what}>
          <label>
            {what}
            <textarea readOnly rows={8} value={text ?? "…"} />
          </label>
          <button disabled={text === undefined} onClick={() => copy(text ?? "", what)}>
            Copy as {what}
          </button>
        </section>
      ))}
      <p role="status">{message.value}</p>
      <button onClick={() => dialog.current?.close()}>Close</button>
    </dialog>
  );
}
