/** A proxy to a server that can be cut, so that a page loses its connection. */
import { createServer, request } from "node:http";
import type { AddressInfo, Socket } from "node:net";

export interface FaultyProxy {
  /** the server's link, through here */
  readonly url: string;
  /** `Last-Event-ID` of each request for events */
  readonly resumed: (string | undefined)[];
  /** Ends every connection, and accepts none until `mend`. */
  cut(): void;
  mend(): void;
  close(): void;
}

export async function faultyProxy(target: string): Promise<FaultyProxy> {
  const to = new URL(target);
  const sockets = new Set<Socket>();
  const resumed: (string | undefined)[] = [];
  let isCut = false;
  const server = createServer((asked, answer) => {
    if (asked.url === "/api/events") resumed.push(asked.headers["last-event-id"] as string | undefined);
    const { origin: _, ...headers } = asked.headers;
    const passed = request(
      {
        host: to.hostname,
        port: to.port,
        path: asked.url,
        method: asked.method,
        headers: { ...headers, host: to.host },
      },
      (given) => {
        answer.writeHead(given.statusCode ?? 500, given.headers);
        given.pipe(answer);
      },
    );
    passed.on("error", () => answer.destroy());
    answer.on("close", () => passed.destroy());
    asked.pipe(passed);
  });
  server.on("connection", (socket: Socket) => {
    if (isCut) return socket.destroy();
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => undefined);
    return undefined;
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = (): void => {
    isCut = true;
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: target.replace(to.host, `127.0.0.1:${(server.address() as AddressInfo).port}`),
    resumed,
    cut,
    mend: () => (isCut = false),
    close() {
      cut();
      server.close();
    },
  };
}
