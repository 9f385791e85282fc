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
/** A page gets messages so often at most: what carries and draws them takes its turn from what samples. */
const BETWEEN_MILLISECONDS = 200;

interface Numbered {
  readonly id: number;
  readonly data: string;
  readonly isAwaited: boolean;
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
      this.#kept.push({ id: ++this.#last, data: JSON.stringify(message), isAwaited: isAwaited(message) });
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
      let sentAt = -Infinity;
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
          [life, sent, sentAt] = [this.#life, this.#last, performance.now()];
          await stream.writeSSE({
            event: "document",
            id: `${life}/${sent}`,
            data: JSON.stringify(this.#session.document),
          });
          continue;
        }
        const fresh = this.#kept.slice(this.#kept.length - (this.#last - sent));
        const rest = fresh.some((each) => each.isAwaited) ? 0 : sentAt + BETWEEN_MILLISECONDS - performance.now();
        if (fresh.length > 0 && rest <= 0) {
          [sent, sentAt] = [this.#last, performance.now()];
          const data = `[${fresh.map((each) => each.data).join()}]`;
          await stream.writeSSE({ event: "messages", id: `${life}/${sent}`, data });
          continue;
        }
        const isSilent = await new Promise<boolean>((resolve) => {
          const timer = setTimeout(() => resolve(true), fresh.length > 0 ? rest : HEARTBEAT_MILLISECONDS);
          wake = () => {
            clearTimeout(timer);
            resolve(false);
          };
        });
        if (isSilent && fresh.length === 0 && !stream.aborted) await stream.writeSSE({ event: "beat", data: "" });
      }
    });
  }
}

/** Somebody looks at the page until this is there: what became of an edit, and the first picture after it. */
function isAwaited({ answers, preview }: LiveMessage): boolean {
  return answers !== undefined || (preview?.run === "cached" && preview.step === 1);
}

function splitId(id: string | undefined): [life: string, sent: number] {
  const [, life, sent] = /^([^/]+)\/(\d+)$/.exec(id ?? "") ?? [];
  return [life ?? "", Number(sent ?? 0)];
}
