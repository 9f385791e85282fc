/** A page of ours over HTTP, on this machine only: what the explorer's page and a cell's inputs share. */
import { randomBytes } from "node:crypto";
import type { AddressInfo } from "node:net";
import { serve } from "@hono/node-server";
import type { ServerType } from "@hono/node-server";
import { Hono } from "hono";
import { ArgumentError, BlockcacheError } from "../errors.js";
import { fromThisMachine, isSecret, strictHeaders, withToken } from "./guard.js";
import { pageFiles } from "./pageFiles.js";

export interface PageServerOptions {
  /** name of the page's file */
  readonly page: string;
  /** 0: any that is free */
  readonly port?: number;
  /** the page may be shown in a frame of a page on this machine: in a notebook */
  readonly inFrame?: boolean;
  /** adds what lies under /api, behind the token */
  readonly routes: (app: Hono) => void;
}

export interface PageServer {
  /** with the token: whoever has it can use the page */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves a page on 127.0.0.1 under a link with a token of its own.
 *
 * @throws ArgumentError where the page is not built, or the port is taken
 */
export async function servePage({ page, port = 0, inFrame = false, routes }: PageServerOptions): Promise<PageServer> {
  const files = await pageFiles();
  const token = randomBytes(24).toString("base64url");
  // The page's own files lie under a name of their own, so that they too are for who has the link.
  const folder = randomBytes(12).toString("base64url");
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
      return context.text("refused: open the link that blockcache gave\n", 403);
    const html = Buffer.from(files.get(page)?.body ?? []).toString();
    return context.html(html.replace("<head>", `<head><base href="/${folder}/">`));
  });
  app.get(`/${folder}/*`, (context) => {
    const file = files.get(context.req.path.slice(folder.length + 2));
    if (file === undefined) return context.notFound();
    return context.body(file.body, 200, { "Content-Type": file.type });
  });
  app.use("/api/*", withToken(token));
  routes(app);

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
      await new Promise<void>((resolve) => {
        server?.close(() => resolve());
        if (server !== undefined && "closeAllConnections" in server) server.closeAllConnections();
      });
    },
  };
}
