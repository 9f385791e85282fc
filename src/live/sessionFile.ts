/** A session as a file: settings, schedules, results, seeds and pictures, and back. */
import { ArgumentError } from "../errors.js";
import type { LiveDocument, RunState } from "./document.js";
import type { SessionFile } from "./schemas.js";

/** What of a document is kept. Throws ArgumentError while there is no model. */
export function sessionFile({
  model,
  settings,
  plan,
  follows,
  other,
  comparison,
  pictures,
  strip,
  judged: { runs: _, ...judged },
}: LiveDocument): SessionFile {
  if (model === undefined || settings === undefined)
    throw new ArgumentError("session: expected a model, found one that is still being opened — try again");
  const file = {
    format: "blockcache-session",
    version: 1,
    model: { name: model.name, fingerprint: model.fingerprint },
    settings,
    plan,
    follows,
    other,
    comparison: comparison && { ...comparison, state: atRest(comparison.state) },
    pictures,
    strip: strip && { ...strip, state: atRest(strip.state) },
    judged,
  };
  return file as unknown as SessionFile;
}

function atRest(state: RunState): Exclude<RunState, "computing"> {
  return state === "computing" ? "stopped" : state;
}

/** The parts of a document that a file brings back. Throws ArgumentError where it is another model's. */
export function reopened(file: SessionFile, { model }: LiveDocument): Partial<LiveDocument> {
  if (model !== undefined && file.model.fingerprint !== model.fingerprint)
    throw new ArgumentError(
      `session: made with the model ${file.model.name}, and this is ${model.name} — \`blockcache explore\` that model, and open the file there`,
    );
  const { settings, plan, follows, other, comparison, pictures, strip, judged } = file as unknown as LiveDocument;
  return { settings, plan, follows, other, comparison, pictures, strip, judged: { ...judged, runs: false } };
}
