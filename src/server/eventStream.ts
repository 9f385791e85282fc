/** A session's messages as server-sent events that a page can take up again where it lost them. */
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import { randomUUID } from "node:crypto";
import type { LiveMessage } from "../live/document.js";
import type { LiveSession } from "../live/session.js";

/** Messages kept for pages that come back; one that was away for longer gets the whole document. */
const KEPT = 500;
/** A page that lets so many messages lie gets the whole document instead. */
const MOST_WAITING = 1000;
/** Proxies and browsers close what is silent. */
const HEARTBEAT_MILLISECONDS = 15_000;

interface Numbered {
  readonly id: number;
  readonly data: string;
}

/** Numbers a session's messages, and gives each page those that it has not had. */
export class EventStream {
  readonly #session: LiveSession;
  /** ids of another server's life mean nothing here */
  readonly #life = randomUUID();
  readonly #kept: Numbered[] = [];
  readonly #wake = new Set<() => void>();
  readonly #unsubscribe: () => void;
  #last = 0;

  constructor(session: LiveSession) {
    this.#session = session;
    this.#unsubscribe = session.subscribe((message: LiveMessage) => {
      this.#kept.push({ id: ++this.#last, data: JSON.stringify(message) });
      if (this.#kept.length > KEPT + MOST_WAITING) this.#kept.splice(0, MOST_WAITING);
      for (const wake of this.#wake) wake();
    });
  }

  close(): void {
    this.#unsubscribe();
  }

  /** The answer to a page: what it has missed since `Last-Event-ID`, or the whole document, and then all that comes. */
  answer(context: Context): Response {
    return streamSSE(context, async (stream) => {
      const detach = this.#session.attach();
      let [life, sent] = splitId(context.req.header("last-event-id"));
      let wake = (): void => undefined;
      const woken = (): void => wake();
      this.#wake.add(woken);
      stream.onAbort(() => {
        detach();
        this.#wake.delete(woken);
        wake();
      });
      while (!stream.aborted && !stream.closed) {
        if (life !== this.#life || sent > this.#last || this.#last - sent > KEPT) {
          [life, sent] = [this.#life, this.#last];
          await stream.writeSSE({
            event: "document",
            id: `${life}/${sent}`,
            data: JSON.stringify(this.#session.document),
          });
        }
        for (const { id, data } of this.#kept.filter((each) => each.id > sent)) {
          sent = id;
          await stream.writeSSE({ event: "message", id: `${life}/${id}`, data });
        }
        if (sent < this.#last) continue;
        const beat = setTimeout(() => wake(), HEARTBEAT_MILLISECONDS);
        const isBeat = await new Promise<boolean>((resolve) => {
          const before = sent;
          wake = () => resolve(before === this.#last);
        });
        clearTimeout(beat);
        if (isBeat && !stream.aborted) await stream.writeSSE({ event: "beat", data: "" });
      }
    });
  }
}

function splitId(id: string | undefined): [life: string, sent: number] {
  const [, life, sent] = /^([^/]+)\/(\d+)$/.exec(id ?? "") ?? [];
  return [life ?? "", Number(sent ?? 0)];
}
