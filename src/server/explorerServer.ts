/** The explorer's page and its session. */
import { bodyLimit } from "hono/body-limit";
import { z } from "zod";
import { commandSchema, parseChecked, sessionFileSchema } from "../live/schemas.js";
import type { LiveSession } from "../live/session.js";
import { EventStream } from "./eventStream.js";
import { servePage } from "./pageServer.js";
import type { PageServer, PageServerOptions } from "./pageServer.js";

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
  options: Pick<PageServerOptions, "port" | "inFrame"> = {},
): Promise<PageServer> {
  const events = new EventStream(session);
  const server = await servePage({
    ...options,
    page: "index.html",
    routes(app) {
      app.get("/api/events", (context) => events.answer(context));
      app.get("/api/measurements", (context) => {
        const text = session.measurementsText(context.req.query("key") ?? "");
        return text === undefined
          ? context.notFound()
          : context.body(text, 200, { "Content-Type": "application/json" });
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
    },
  });
  return {
    url: server.url,
    async close() {
      events.close();
      await server.close();
    },
  };
}

/** Refuses a body of more bytes before it is read. */
export function limited(maxSize: number): ReturnType<typeof bodyLimit> {
  return bodyLimit({
    maxSize,
    onError: (context) => context.json({ problem: `refused: more than ${maxSize} bytes` }, 413),
  });
}
