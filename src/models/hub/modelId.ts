/** A model on the hub: `owner/name`, and which revision of it. */
export interface ModelId {
  /** `owner/name` */
  readonly name: string;
  /** a branch, a tag or a commit */
  readonly revision: string;
}

/** The hub's own rule: letters, digits, `_`, `-` and `.`, neither `--` nor `..`, no `-` or `.` at an end (huggingface_hub, utils/_validators.py). */
const NAME = /^(?!.*(?:--|\.\.))\w(?:[\w.-]*\w)?\/\w(?:[\w.-]{0,94}\w)?$/;
/** Git's rule for the names of branches and tags (git-check-ref-format), as far as a file name depends on it. */
const REVISION = /^(?!\/)(?!.*\.\.)[^\s\\:?*[\]~^]+$/;

/** Reads `owner/name` or `owner/name@revision`; undefined where the text is not such an id. */
export function parseModelId(text: string): ModelId | undefined {
  const at = text.indexOf("@");
  const name = at < 0 ? text : text.slice(0, at);
  const revision = at < 0 ? "main" : text.slice(at + 1);
  return NAME.test(name) && REVISION.test(revision) ? { name, revision } : undefined;
}

/** Whether a revision names one commit, which never changes. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}
