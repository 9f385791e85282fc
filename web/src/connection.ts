/** The way to the session: commands go out in order, messages come in, and a lost connection is taken up again. */
import { EventSourceParserStream } from "eventsource-parser/stream";
import type { LiveDocument, LiveMessage } from "../../src/live/document.js";
import type { Recipes } from "../../src/live/recipes.js";
import type { SessionCommand } from "../../src/live/schemas.js";

export type ConnectionState = "connecting" | "open" | "lost";

/** Who listens to the session. */
export interface SessionListener {
  onState(state: ConnectionState): void;
  onDocument(document: LiveDocument): void;
  /** of one moment: to be drawn together */
  onMessages(messages: readonly LiveMessage[]): void;
  /** the session has a command, and said so before or in the next messages */
  onTaken(edit: number): void;
  /** the session refused a command */
  onRefused(edit: number, problem: string): void;
}

const FIRST_WAIT_MILLISECONDS = 250;
const LONGEST_WAIT_MILLISECONDS = 5000;

const token = new URLSearchParams(location.search).get("token") ?? "";
const headers = { Authorization: `Bearer ${token}` };

/** A name of this page's own among all that show the session. */
export const PAGE = crypto.randomUUID();

interface Outgoing {
  readonly edit: number;
  readonly command: SessionCommand;
}

const outgoing: Outgoing[] = [];
let edits = 0;
let sending = false;
let listener: SessionListener | undefined;

/** Listens for as long as the page lives. */
export function listen(to: SessionListener): void {
  listener = to;
  void stream();
}

/** Sends a command after those before it; an unsent edit of the same stroke gives way to the later one. @returns its number */
export function send(command: SessionCommand): number {
  const edit = edits++;
  const last = outgoing.at(-1);
  const replaces =
    outgoing.length > 1 &&
    last?.command.command === "edit" &&
    command.command === "edit" &&
    command.edit.kind === "set" &&
    last.command.edit.kind === "set" &&
    command.stroke !== undefined &&
    command.stroke === last.command.stroke;
  if (replaces) outgoing.pop();
  outgoing.push({ edit, command });
  void flush();
  return edit;
}

async function flush(): Promise<void> {
  if (sending) return;
  sending = true;
  for (let next = outgoing[0]; next !== undefined; next = outgoing[0]) {
    const answer = await post("/api/commands", JSON.stringify({ page: PAGE, ...next }));
    if (answer === undefined) {
      await wait(FIRST_WAIT_MILLISECONDS);
      continue;
    }
    outgoing.splice(outgoing.indexOf(next), 1);
    if (answer.ok) listener?.onTaken(next.edit);
    else listener?.onRefused(next.edit, await problemOf(answer));
  }
  sending = false;
}

async function stream(): Promise<void> {
  let lastId = "";
  for (let pause = FIRST_WAIT_MILLISECONDS; ; pause = Math.min(2 * pause, LONGEST_WAIT_MILLISECONDS)) {
    try {
      const answer = await fetch("/api/events", {
        headers: lastId === "" ? headers : { ...headers, "Last-Event-ID": lastId },
      });
      if (!answer.ok || answer.body === null) throw new Error(String(answer.status));
      listener?.onState("open");
      pause = FIRST_WAIT_MILLISECONDS;
      const reader = answer.body
        .pipeThrough(new TextDecoderStream())
        .pipeThrough(new EventSourceParserStream())
        .getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const { event, data, id } = part.value;
        if (event === "document") listener?.onDocument(JSON.parse(data) as LiveDocument);
        else if (event === "messages") listener?.onMessages(JSON.parse(data) as LiveMessage[]);
        if (id !== undefined) lastId = id;
      }
    } catch {
      // Gone: said below, and tried again.
    }
    listener?.onState("lost");
    await wait(pause);
  }
}

/** What was measured, as text; nothing where the session has moved on. */
export async function fetchMeasurements(key: string): Promise<string | undefined> {
  const answer = await get(`/api/measurements?key=${encodeURIComponent(key)}`);
  return answer.ok ? answer.text() : undefined;
}

/** @throws Error with the session's reason */
export async function fetchRecipes(): Promise<Recipes> {
  const answer = await get("/api/recipes");
  if (!answer.ok) throw new Error(await problemOf(answer));
  return (await answer.json()) as Recipes;
}

/** The session as a file. @throws Error with the session's reason */
export async function fetchSession(): Promise<Blob> {
  const answer = await get("/api/session");
  if (!answer.ok) throw new Error(await problemOf(answer));
  return answer.blob();
}

/** Opens a session's file. @throws Error with the session's reason */
export async function openSession(text: string): Promise<void> {
  const answer = await post("/api/session", text);
  if (answer === undefined) throw new Error("the connection is lost");
  if (!answer.ok) throw new Error(await problemOf(answer));
}

function get(path: string): Promise<Response> {
  return fetch(path, { headers });
}

function post(path: string, body: string): Promise<Response | undefined> {
  return fetch(path, {
    method: "POST",
    headers: { ...headers, "Content-Type": "application/json" },
    body,
  }).catch(() => undefined);
}

async function problemOf(answer: Response): Promise<string> {
  const text = await answer.text();
  try {
    return (JSON.parse(text) as { problem: string }).problem;
  } catch {
    return `${answer.status} ${text}`;
  }
}

function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
