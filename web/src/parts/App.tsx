import { useEffect } from "preact/hooks";
import { ask, connection, model, problem, refusal, worker } from "../store.js";
import { ControlPanel } from "./ControlPanel.js";
import { Header } from "./Header.js";
import { NetworkMap } from "./NetworkMap.js";
import { ResultPanel } from "./ResultPanel.js";
import { SchedulePanel } from "./SchedulePanel.js";

/** The page: controls, the network and its schedule, and what comes of them. */
export function App() {
  useEffect(() => {
    document.addEventListener("keydown", undoByKey);
    return () => document.removeEventListener("keydown", undoByKey);
  }, []);
  if (model.value === undefined) return <Opening />;
  return (
    <div class="app">
      <Header />
      <Problems />
      <aside class="controls" aria-label="Settings">
        <ControlPanel />
      </aside>
      <main class="centre">
        <NetworkMap />
        <SchedulePanel />
      </main>
      <aside class="results" aria-label="Results">
        <ResultPanel />
      </aside>
    </div>
  );
}

/** Ctrl+Z and Ctrl+Shift+Z, or Ctrl+Y; in a text the browser's own. */
function undoByKey(event: KeyboardEvent): void {
  const key = event.key.toLowerCase();
  const inText =
    event.target instanceof Element &&
    event.target.matches("textarea, input:not([type=range], [type=checkbox], [type=radio])");
  if (!(event.ctrlKey || event.metaKey) || inText || (key !== "z" && key !== "y")) return;
  event.preventDefault();
  ask({ command: key === "y" || event.shiftKey ? "redo" : "undo" });
}

/** While the model is opened. */
function Opening() {
  const message =
    connection.value === "lost"
      ? "The connection to blockcache is lost. Trying again …"
      : worker.value === undefined || worker.value.state === "ready"
        ? "Opening the model …"
        : worker.value.message;
  return (
    <main class="opening">
      <h1>blockcache explore</h1>
      <p role="status">{message}</p>
      {problem.value === undefined ? (
        <progress aria-label="opening the model" />
      ) : (
        <p class="fault" role="alert">
          {problem.value}
        </p>
      )}
    </main>
  );
}

/** What went wrong, in a place of its own, so that nothing jumps. */
function Problems() {
  const texts = [
    connection.value === "lost" ? "The connection to blockcache is lost: edits wait, and trying again …" : undefined,
    worker.value !== undefined && worker.value.state !== "ready" ? worker.value.message : undefined,
    refusal.value,
    problem.value,
  ].filter((text) => text !== undefined);
  return (
    <div class="problems" role="status" aria-live="polite">
      {texts.map((text) => (
        <p key={text}>{text}</p>
      ))}
    </div>
  );
}
