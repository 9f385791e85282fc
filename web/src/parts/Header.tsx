import { useSignal } from "@preact/signals";
import { ask, connection, history, judged, model, progress, refusal, runState, worker } from "../store.js";
import { fetchSession, openSession } from "../connection.js";
import { save } from "../save.js";
import { nextTheme, theme } from "../theme.js";
import { CopyDialog } from "./CopyDialog.js";
import { FileButton } from "./FileButton.js";

const THEME_NAMES = { system: "system", light: "light", dark: "dark" } as const;

export function Header() {
  const copying = useSignal(false);
  const { undo, redo } = history.value ?? { undo: 0, redo: 0 };
  const told = (error: unknown): void => {
    refusal.value = error instanceof Error ? error.message : String(error);
  };
  return (
    <header class="header">
      <h1>blockcache explore</h1>
      <p class="model" title={`${model.value?.name} on ${model.value?.device}, ${model.value?.precision}`}>
        {model.value?.name} · {model.value?.device}
      </p>
      <Status />
      <div class="buttons">
        <button onClick={() => ask({ command: "undo" })} disabled={undo === 0} title="Ctrl+Z">
          Undo
        </button>
        <button onClick={() => ask({ command: "redo" })} disabled={redo === 0} title="Ctrl+Shift+Z">
          Redo
        </button>
        <button onClick={() => (copying.value = true)}>Copy …</button>
        <button
          onClick={() =>
            fetchSession().then((file) => save(file, `${model.value?.name ?? "session"}.blockcache.json`), told)
          }
        >
          Save
        </button>
        <FileButton label="Open" accept=".json" onText={(text) => openSession(text).catch(told)} />
        <button
          onClick={nextTheme}
          aria-label={`Colours: ${THEME_NAMES[theme.value]}. Change`}
          title="Light, dark or the system's colours"
        >
          {{ system: "◐", light: "☀", dark: "☾" }[theme.value]}
        </button>
      </div>
      {copying.value && <CopyDialog onClose={() => (copying.value = false)} />}
    </header>
  );
}

/** What is being done now. */
function Status() {
  const under = progress.value;
  const text =
    connection.value !== "open"
      ? "not connected"
      : worker.value?.state !== "ready"
        ? "worker not ready"
        : under !== undefined
          ? under.label
          : runState.value === "computing"
            ? "sampling"
            : judged.value?.runs === true
              ? "judging"
              : "idle";
  const isBusy = text !== "idle";
  return (
    <p class="status" role="status">
      <span class={isBusy ? "dot busy" : "dot"} aria-hidden="true" />
      <span>{text}</span>
      {under !== undefined && <progress value={under.done} max={under.total} aria-label={under.label} />}
    </p>
  );
}
