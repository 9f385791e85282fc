/** Serves the survey's page on this machine: only on 127.0.0.1, with a token in the link. */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { BlockcacheError } from "../errors.js";
import { validate } from "../files/json.js";
import type { Survey } from "./survey.js";

export interface SurveyServer {
  /** the link that opens the page, including its token */
  readonly url: string;
  close(): Promise<void>;
}

/** A page's files by their path. */
const FILES: Readonly<Record<string, readonly [file: string, type: string]>> = {
  "/": ["index.html", "text/html; charset=utf-8"],
  "/survey.js": ["survey.js", "text/javascript; charset=utf-8"],
  "/survey.css": ["survey.css", "text/css; charset=utf-8"],
};
const ASSETS = new URL("../../assets/survey/", import.meta.url);

/** Far more than a ballot needs. */
const MAX_BODY_BYTES = 4096;

const ballotSchema = z.strictObject({
  rater: z.string(),
  index: z.number().int().nonnegative(),
  choice: z.enum(["left", "right", "tie"]),
  seconds: z.number().nonnegative(),
});
const raterSchema = z.strictObject({ rater: z.string() });

/** What a request gets: a status, and the content of the answer. */
interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string | Buffer;
}

/**
 * Serves until closed. `port` 0 takes any that is free.
 *
 * @throws ArgumentError where votes cannot be kept; node's own error where the port is taken
 */
export async function serveSurvey(survey: Survey, port = 0): Promise<SurveyServer> {
  await survey.requireWritable();
  const token = randomBytes(24).toString("base64url");
  const server = createServer((request, response) => {
    const { port: own } = server.address() as AddressInfo;
    void answer(survey, token, own, request)
      .catch((error: unknown): Answer => {
        const isTheirs = error instanceof BlockcacheError;
        return json(isTheirs ? 400 : 500, { error: isTheirs ? error.message : "the server failed" });
      })
      .then((result) => send(response, result));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const { port: own } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${own}/?token=${token}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(survey: Survey, token: string, port: number, request: IncomingMessage): Promise<Answer> {
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
  const { host = "", origin } = request.headers;
  // A request under another host name comes from another site (DNS rebinding), one with another origin from another
  // page.
  if (!hosts.includes(host)) return json(403, { error: "unknown host" });
  if (origin !== undefined && !hosts.some((each) => origin === `http://${each}`))
    return json(403, { error: "unknown origin" });
  const url = new URL(request.url ?? "/", `http://${host}`);
  const file = FILES[url.pathname];
  if (file !== undefined && url.pathname !== "/" && request.method === "GET") return asset(file);
  if (!isToken(url.searchParams.get("token") ?? request.headers["x-token"], token))
    return json(403, { error: "the link's token is missing or wrong: open the link as it was printed" });
  if (file !== undefined && request.method === "GET") return asset(file);

  const rater = url.searchParams.get("rater") ?? "";
  if (request.method === "GET" && url.pathname === "/picture") {
    const side = url.searchParams.get("side") === "left" ? "left" : "right";
    const body = await survey.picture(rater, Number(url.searchParams.get("index")), side);
    return { status: 200, type: "image/png", body };
  }
  if (request.method === "POST" && url.pathname === "/standing") {
    const asked = validate(raterSchema, await bodyOf(request), { file: "request" });
    return json(200, await survey.standingOf(asked.rater));
  }
  if (request.method === "POST" && url.pathname === "/vote") {
    return json(200, await survey.vote(validate(ballotSchema, await bodyOf(request), { file: "request" })));
  }
  return json(404, { error: "no such page" });
}

function isToken(given: string | string[] | undefined, token: string): boolean {
  const [found, wanted] = [Buffer.from(String(given ?? "")), Buffer.from(token)];
  return found.length === wanted.length && timingSafeEqual(found, wanted);
}

async function asset([file, type]: readonly [file: string, type: string]): Promise<Answer> {
  return { status: 200, type, body: await readFile(fileURLToPath(new URL(file, ASSETS))) };
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > MAX_BODY_BYTES) throw new BlockcacheError("request: too large");
    chunks.push(chunk as Buffer);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    throw new BlockcacheError("request: expected JSON");
  }
}

function json(status: number, value: unknown): Answer {
  return { status, type: "application/json; charset=utf-8", body: JSON.stringify(value) };
}

function send(response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, {
    "content-type": type,
    "cache-control": "no-store",
    "content-security-policy":
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
  });
  response.end(body);
}
