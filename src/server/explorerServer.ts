/** The explorer's page and its session over HTTP, on this machine only. */
import { randomBytes } from "node:crypto";
import type { AddressInfo } from "node:net";
import { serve } from "@hono/node-server";
import type { ServerType } from "@hono/node-server";
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { z } from "zod";
import { ArgumentError, BlockcacheError } from "../errors.js";
import { commandSchema, parseChecked, sessionFileSchema } from "../live/schemas.js";
import type { LiveSession } from "../live/session.js";
import { EventStream } from "./eventStream.js";
import { fromThisMachine, isSecret, strictHeaders, withToken } from "./guard.js";
import { pageFiles } from "./pageFiles.js";

export interface ExplorerServerOptions {
  /** 0: any that is free */
  readonly port?: number;
  /** the page may be shown in a frame of a page on this machine: in a notebook */
  readonly inFrame?: boolean;
}

export interface ExplorerServer {
  /** with the token: whoever has it can use the page */
  readonly url: string;
  close(): Promise<void>;
}

/** A schedule of 100 blocks × 1000 evaluations has 600 KB. */
const COMMAND_BYTES = 2 ** 21;
/** Pictures of 4096 pixels and 500 points with their schedules fit. */
const SESSION_BYTES = 2 ** 27;

const posted = z.strictObject({ page: z.string().max(100), edit: z.number().int(), command: commandSchema });

/**
 * Serves a session on 127.0.0.1.
 *
 * @throws ArgumentError where the page is not built, or the port is taken
 */
export async function serveExplorer(
  session: LiveSession,
  { port = 0, inFrame = false }: ExplorerServerOptions = {},
): Promise<ExplorerServer> {
  const files = await pageFiles();
  const token = randomBytes(24).toString("base64url");
  // The page's own files lie under a name of their own, so that they too are for who has the link.
  const folder = randomBytes(12).toString("base64url");
  const events = new EventStream(session);
  let server: ServerType | undefined;
  const address = (): AddressInfo => server?.address() as AddressInfo;

  const app = new Hono();
  app.use(strictHeaders(inFrame ? "http://127.0.0.1:* http://localhost:*" : "'none'"));
  app.use(fromThisMachine(() => address().port));
  app.onError((error, context) => {
    const problem = error instanceof Error ? error.message.split("\n")[0] : String(error);
    return context.json({ problem }, error instanceof BlockcacheError ? 400 : 500);
  });
  app.notFound((context) => context.text("refused\n", 404));

  app.get("/", (context) => {
    if (!isSecret(context.req.query("token"), token))
      return context.text("refused: open the link that blockcache explore printed\n", 403);
    const html = Buffer.from(files.get("index.html")?.body ?? []).toString();
    return context.html(html.replace("<head>", `<head><base href="/${folder}/">`));
  });
  app.get(`/${folder}/*`, (context) => {
    const file = files.get(context.req.path.slice(folder.length + 2));
    if (file === undefined) return context.notFound();
    return context.body(file.body, 200, { "Content-Type": file.type });
  });

  app.use("/api/*", withToken(token));
  const limited = (maxSize: number): ReturnType<typeof bodyLimit> =>
    bodyLimit({ maxSize, onError: (context) => context.json({ problem: `refused: more than ${maxSize} bytes` }, 413) });
  app.get("/api/events", (context) => events.answer(context));
  app.get("/api/measurements", (context) => {
    const text = session.measurementsText(context.req.query("key") ?? "");
    return text === undefined ? context.notFound() : context.body(text, 200, { "Content-Type": "application/json" });
  });
  app.get("/api/recipes", (context) => context.json(session.recipes()));
  app.get("/api/session", (context) => context.json(session.save()));
  app.post("/api/session", limited(SESSION_BYTES), async (context) => {
    session.reopen(parseChecked(sessionFileSchema, await context.req.text(), "session"));
    return context.body(null, 204);
  });
  app.post("/api/commands", limited(COMMAND_BYTES), async (context) => {
    const { page, edit, command } = parseChecked(posted, await context.req.text(), "command");
    session.do(command, { page, edit });
    return context.body(null, 204);
  });

  await new Promise<void>((resolve, reject) => {
    server = serve({ fetch: app.fetch, hostname: "127.0.0.1", port }, () => resolve());
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        error.code === "EADDRINUSE" || error.code === "EACCES"
          ? new ArgumentError(`port: expected one that is free, found ${port} (${error.code}) — leave it out`)
          : error,
      ),
    );
  });
  return {
    url: `http://127.0.0.1:${address().port}/?token=${token}`,
    async close() {
      events.close();
      await new Promise<void>((resolve) => {
        server?.close(() => resolve());
        if (server !== undefined && "closeAllConnections" in server) server.closeAllConnections();
      });
    },
  };
}
