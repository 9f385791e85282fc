import { applyMessage } from "./document.js";
import type { LiveDocument, LiveMessage } from "./document.js";

/** The session's document, and who is told of its changes. */
export class SharedDocument {
  readonly #listeners = new Set<(message: LiveMessage) => void>();
  #current: LiveDocument;

  constructor(first: LiveDocument) {
    this.#current = first;
  }

  get current(): LiveDocument {
    return this.#current;
  }

  /** Changes the document, and tells everyone how. */
  tell(message: LiveMessage): void {
    this.#current = applyMessage(this.#current, message);
    for (const listener of this.#listeners) listener(message);
  }

  /** @returns ends the telling */
  subscribe(listener: (message: LiveMessage) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
