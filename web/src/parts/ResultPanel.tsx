import { signal } from "@preact/signals";
import { BlockPanel } from "./BlockPanel.js";
import { JudgePanel } from "./JudgePanel.js";
import { PicturesPanel } from "./PicturesPanel.js";

type Tab = "pictures" | "block" | "judge";

const TABS: readonly (readonly [Tab, string])[] = [
  ["pictures", "Pictures"],
  ["block", "Block"],
  ["judge", "Judge"],
];

export const resultTab = signal<Tab>("pictures");

/** Pictures, the block that is looked at, and the set to judge on. */
export function ResultPanel() {
  const move = (event: KeyboardEvent): void => {
    const by = { ArrowRight: 1, ArrowLeft: TABS.length - 1 }[event.key];
    if (by === undefined) return;
    const next = TABS[(TABS.findIndex(([tab]) => tab === resultTab.value) + by) % TABS.length][0];
    resultTab.value = next;
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <>
      <div class="tabs" role="tablist" aria-label="Results" onKeyDown={move}>
        {TABS.map(([tab, name]) => (
          <button
            key={tab}
            id={`tab-${tab}`}
            role="tab"
            aria-selected={resultTab.value === tab}
            aria-controls="tabpanel"
            tabIndex={resultTab.value === tab ? 0 : -1}
            onClick={() => (resultTab.value = tab)}
          >
            {name}
          </button>
        ))}
      </div>
      <div id="tabpanel" class="tabpanel" role="tabpanel" aria-labelledby={`tab-${resultTab.value}`} tabIndex={0}>
        {resultTab.value === "pictures" && <PicturesPanel />}
        {resultTab.value === "block" && <BlockPanel />}
        {resultTab.value === "judge" && <JudgePanel />}
      </div>
    </>
  );
}
