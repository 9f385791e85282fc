/** The explorer's server as strangers meet it: raw HTTP, with a session that has no model. */
import { request } from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LiveSession } from "../../src/live/session.js";
import type { LiveMessage } from "../../src/live/document.js";
import { serveExplorer } from "../../src/server/explorerServer.js";
import type { PageServer } from "../../src/server/pageServer.js";
import { madeUpWorker } from "../live/madeUpWorker.js";

let server: PageServer;
let session: LiveSession;
let token: string;
let port: string;

beforeAll(async () => {
  session = new LiveSession(madeUpWorker(), { model: "made-up", cacheFolder: "/nowhere" });
  server = await serveExplorer(session);
  const url = new URL(server.url);
  token = url.searchParams.get("token") ?? "";
  port = url.port;
});
afterAll(async () => {
  await server.close();
  await session.close();
});

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function ask(
  path: string,
  { method = "GET", headers = {}, body }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: "127.0.0.1", port, path, method, agent: false, headers: { host: `127.0.0.1:${port}`, ...headers } },
      (answer) => {
        let text = "";
        answer.on("data", (part) => (text += String(part)));
        answer.on("end", () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text }));
      },
    );
    sent.on("error", reject);
    sent.end(body);
  });
}

const bearer = (): Record<string, string> => ({ authorization: `Bearer ${token}` });
const command = (text: string, headers: Record<string, string> = bearer()): Promise<Answer> =>
  ask("/api/commands", { method: "POST", headers: { ...headers, "content-type": "application/json" }, body: text });
const posted = (asked: object): string => JSON.stringify({ page: "p", edit: 0, command: asked });

describe("the page", () => {
  it("comes with the token, under a policy that allows nothing from elsewhere", async () => {
    const { status, headers, body } = await ask(`/?token=${token}`);
    expect(status).toBe(200);
    expect(headers["content-security-policy"]).toContain("default-src 'none'");
    expect(headers["content-security-policy"]).toContain("script-src 'self';");
    expect(headers["content-security-policy"]).toContain("frame-ancestors 'none'");
    expect(headers["referrer-policy"]).toBe("no-referrer");
    expect(headers["x-content-type-options"]).toBe("nosniff");
    expect(headers["access-control-allow-origin"]).toBeUndefined();
    expect(body).not.toContain(token);
    expect(body).not.toMatch(/(src|href)="(https?:)?\/\//);
    expect(body).not.toMatch(/<script(?![^>]*\bsrc=)/);
  });

  it("and its files come with the link alone", async () => {
    const { body } = await ask(`/?token=${token}`);
    const [, base = ""] = /<base href="([^"]+)">/.exec(body) ?? [];
    const [, script = ""] = /src="\.\/([^"]+)"/.exec(body) ?? [];
    expect((await ask(base + script)).status).toBe(200);
    expect((await ask(`/${script}`)).status).toBe(404);
    expect((await ask("/assets/")).status).toBe(404);
  });
});

describe("refused:", () => {
  it.each([
    ["no token", "/"],
    ["a wrong token", "/?token=wrong"],
    ["a token of the right length", `/?token=${"x".repeat(32)}`],
    ["the events without one", "/api/events"],
    ["the session without one", "/api/session"],
    ["a token in the address of the interface", "/api/session?token=$TOKEN"],
  ])("%s", async (_, path) => {
    const { status, body } = await ask(path.replace("$TOKEN", token));
    expect(status).toBe(403);
    expect(body).not.toContain(token);
  });

  it.each(["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1.evil.example", "[::1]"])(
    "Host %s, as DNS rebinding would send it",
    async (host) => {
      expect((await ask(`/?token=${token}`, { headers: { host } })).status).toBe(403);
      expect((await ask("/api/session", { headers: { ...bearer(), host } })).status).toBe(403);
    },
  );

  it.each(["https://evil.example", "http://127.0.0.1", "http://127.0.0.1:1", "null", "http://localhost.evil.example"])(
    "Origin %s",
    async (origin) => {
      expect((await ask("/api/session", { headers: { ...bearer(), origin } })).status).toBe(403);
      expect((await command(posted({ command: "sample" }), { ...bearer(), origin })).status).toBe(403);
      const preflight = await ask("/api/commands", {
        method: "OPTIONS",
        headers: { origin, "access-control-request-method": "POST" },
      });
      expect(preflight.headers["access-control-allow-origin"]).toBeUndefined();
    },
  );

  it.each([
    "/../package.json",
    "/..%2f..%2fpackage.json",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/$BASE/../../package.json",
    "/$BASE/..%2f..%2fpackage.json",
    "/$BASE/%2e%2e%2f%2e%2e%2fetc/passwd",
    "/$BASE/assets/..\\..\\..\\package.json",
    "/$BASE//etc/passwd",
  ])("the path %s", async (path) => {
    const { body } = await ask(`/?token=${token}`);
    const [, base = ""] = /<base href="\/([^"]+)\/">/.exec(body) ?? [];
    const { status, body: found } = await ask(path.replace("$BASE", base));
    expect([400, 403, 404]).toContain(status);
    expect(found).not.toContain('blockcache"');
  });

  it("a body that is too large, whether it says so or not", async () => {
    const large = posted({ command: "settings", values: { prompt: "x".repeat(3_000_000) } });
    expect((await command(large)).status).toBe(413);
    const chunked = await fetch(`http://127.0.0.1:${port}/api/commands`, {
      method: "POST",
      headers: bearer(),
      body: new ReadableStream({
        pull(controller) {
          controller.enqueue(new TextEncoder().encode("x".repeat(1_000_000)));
        },
      }),
      duplex: "half",
    } as RequestInit).then(
      ({ status }) => status,
      () => 413,
    );
    expect(chunked).toBe(413);
  });

  it.each([
    ["no JSON", "{"],
    ["no command", "{}"],
    ["a list", "[]"],
    ["__proto__", '{"page":"p","edit":0,"command":{"command":"sample"},"__proto__":{"polluted":1}}'],
    [
      "a prototype inside",
      posted({ command: "edit", edit: { kind: "restore", plan: {} } }).replace("{}", '{"__proto__":{"polluted":1}}'),
    ],
    [
      "cells of a wrong kind",
      posted({ command: "edit", edit: { kind: "paint", mark: "x", blocks: [], evaluations: [] } }),
    ],
  ])("%s", async (_, text) => {
    const { status, body } = await command(text);
    expect(status).toBe(400);
    expect(JSON.parse(body)).toHaveProperty("problem");
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  it("session files with prototypes, foreign pictures and foreign models", async () => {
    const file = JSON.parse((await ask("/api/session", { headers: bearer() })).body);
    const open = (text: string): Promise<Answer> =>
      ask("/api/session", { method: "POST", headers: bearer(), body: text });
    const text = JSON.stringify(file);
    expect((await open(text)).status).toBe(204);
    for (const bad of [
      text.replace('"settings":', '"__proto__":{"polluted":1},"settings":'),
      text.replace('"schedulerConfig":{}', '"schedulerConfig":{"__proto__":{"polluted":1}}'),
      text.replaceAll("data:image/png;base64,", "https://evil.example/"),
      text.replaceAll("data:image/png;base64,", "data:text/html;base64,"),
      text.replace("sha256:0", "sha256:1"),
      text.replace('"blockcache-session"', '"other"'),
    ])
      expect(bad === text ? 400 : (await open(bad)).status, bad.slice(0, 200)).toBe(400);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });
});

describe("a session file that is changed anywhere", () => {
  /** All places inside a value, as the keys that lead there. */
  const placesIn = (value: unknown): string[][] =>
    typeof value === "object" && value !== null
      ? Object.entries(value).flatMap(([key, inner]) => [[key], ...placesIn(inner).map((rest) => [key, ...rest])])
      : [];
  const replaced = (value: unknown, [key, ...rest]: readonly string[], by: unknown): unknown => {
    const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...(value as object) }) as Record<
      string,
      unknown
    >;
    copy[key] = rest.length === 0 ? by : replaced(copy[key], rest, by);
    return copy;
  };

  it("is taken or refused, is never a fault of the server, and what was taken is served again", async () => {
    session.do({ command: "other", do: "keep" });
    session.do({ command: "judge", add: "this" });
    session.do({ command: "look", block: "down_blocks.0.attentions.0" });
    const first = (await ask("/api/session", { headers: bearer() })).body;
    const file: unknown = JSON.parse(first);
    const open = (text: string): Promise<Answer> =>
      ask("/api/session", { method: "POST", headers: bearer(), body: text });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...placesIn(file)),
        fc.oneof(fc.jsonValue(), fc.constantFrom("__proto__", -1, 1e308, "", null, [])),
        async (place, by) => {
          const { status } = await open(JSON.stringify(replaced(file, place, by)));
          expect([204, 400]).toContain(status);
          for (const path of ["/api/session", "/api/recipes"])
            expect([200, 400]).toContain((await ask(path, { headers: bearer() })).status);
          expect((await command(posted({ command: "undo" }))).status).toBe(204);
        },
      ),
      { numRuns: 200 },
    );
    expect((await open(first)).status).toBe(204);
  });
});

describe("events", () => {
  /** Reads a stream's events until `enough`. */
  async function events(lastId: string, enough: (all: { event: string; id: string; data: string }[]) => boolean) {
    const controller = new AbortController();
    const answer = await fetch(`http://127.0.0.1:${port}/api/events`, {
      headers: { ...bearer(), ...(lastId === "" ? {} : { "last-event-id": lastId }) },
      signal: controller.signal,
    });
    const all: { event: string; id: string; data: string }[] = [];
    let text = "";
    for await (const part of (answer.body ?? []) as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(part).toString();
      const whole = text.split("\n\n");
      text = whole.pop() ?? "";
      for (const each of whole) {
        const field = (name: string): string => new RegExp(`^${name}: ?(.*)$`, "m").exec(each)?.[1] ?? "";
        all.push({ event: field("event"), id: field("id"), data: field("data") });
      }
      if (enough(all)) break;
    }
    controller.abort();
    return all;
  }

  it("begin with the document, and go on where a page lost them", async () => {
    const [first] = await events("", (all) => all.length > 0);
    expect(first.event).toBe("document");
    expect(JSON.parse(first.data)).toMatchObject({ model: { name: "made up" } });
    for (const delta of [0.31, 0.32, 0.33])
      await command(posted({ command: "edit", edit: { kind: "set", values: { options: { delta } } } }));
    const missed = (await events(first.id, (all) => all.some(({ data }) => data.includes("0.33")))).filter(
      ({ event }) => event === "messages",
    );
    const deltas = missed
      .flatMap(({ data }) => JSON.parse(data) as LiveMessage[])
      .flatMap(({ set }) => set?.plan?.options.delta ?? []);
    expect(deltas).toEqual([0.31, 0.32, 0.33]);
  });

  it("of another server's life begin anew", async () => {
    const [first] = await events("00000000-0000-0000-0000-000000000000/3", (all) => all.length > 0);
    expect(first.event).toBe("document");
  });

  it("reach two pages alike", async () => {
    const watch = (): Promise<string[]> =>
      events("", (all) => all.some(({ data }) => data.includes('"seed":77'))).then((all) =>
        all.map(({ event }) => event),
      );
    const both = [watch(), watch()];
    await new Promise((resolve) => setTimeout(resolve, 50));
    await command(posted({ command: "settings", values: { seed: 77 } }));
    for (const seen of await Promise.all(both)) expect(seen[0]).toBe("document");
    expect(session.document.settings?.seed).toBe(77);
  });
});
