/**
 * A Hugging Face hub on this machine, as far as a download sees it: model info, the tree in pages,
 * `/resolve` with its redirects (large files to another origin, small ones to /api/resolve-cache), ranges,
 * and the error headers that clients rely on. huggingface_hub downloads from it too (peer.test.ts).
 */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

export interface HubModel {
  readonly files: ReadonlyMap<string, Buffer>;
  /** branches, tags and other names of the only commit */
  readonly revisions?: readonly string[];
  /** gated: a token is needed, and only `acceptedToken`'s owner has accepted the conditions */
  readonly gated?: boolean;
}

/** What the server does wrong with a file, until the fault is removed. */
export interface Fault {
  /** sends this many bytes of what was asked for, then breaks the connection: once, or every time with `always` */
  readonly cutAfter?: number;
  readonly always?: boolean;
  /** changes one byte */
  readonly damage?: boolean;
  /** says that there is no such file */
  readonly missing?: boolean;
  readonly status?: number;
  /** starts at the first byte whatever range is asked for */
  readonly ignoreRange?: boolean;
  readonly bytesAMillisecond?: number;
}

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  readonly origin: "hub" | "cdn";
}

export const acceptedToken = "hf_accepted";
export const plainToken = "hf_plain";
const TREE_PAGE = 7;

export function readFolder(folder: string): Map<string, Buffer> {
  const paths = (readdirSync(folder, { recursive: true }) as string[]).filter((path) =>
    statSync(join(folder, path)).isFile(),
  );
  return new Map(paths.sort().map((path) => [path, readFileSync(join(folder, path))]));
}

/** Git's own hash of a file's content, `git hash-object` (snapshot.test.ts compares them). */
export function gitHash(content: Buffer): string {
  return createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
}

export function sha256(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

/** Large files are kept by Git LFS, as on the hub. */
export function isLfs(path: string): boolean {
  return /\.(safetensors|bin|msgpack|ckpt)$/.test(path);
}

interface Entry {
  readonly content: Buffer;
  readonly oid: string;
  readonly lfs?: string;
}

export class HubServer {
  readonly requests: SeenRequest[] = [];
  readonly faults = new Map<string, Fault>();
  readonly #models: Map<string, HubModel & { readonly commit: string; readonly entries: Map<string, Entry> }>;
  readonly #hub: Server;
  readonly #cdn: Server;

  private constructor(models: Readonly<Record<string, HubModel>>) {
    this.#models = new Map(
      Object.entries(models).map(([name, model]) => {
        const entries = new Map(
          [...model.files].map(([path, content]): [string, Entry] => {
            if (!isLfs(path)) return [path, { content, oid: gitHash(content) }];
            const lfs = sha256(content);
            return [
              path,
              {
                content,
                lfs,
                oid: gitHash(
                  Buffer.from(
                    `version https://git-lfs.github.com/spec/v1\noid sha256:${lfs}\nsize ${content.length}\n`,
                  ),
                ),
              },
            ];
          }),
        );
        const commit = createHash("sha1")
          .update(JSON.stringify([...entries].map(([path, { oid }]) => [path, oid])))
          .digest("hex");
        return [name, { ...model, commit, entries }];
      }),
    );
    this.#hub = createServer((request, response) => this.#atHub(request, response));
    this.#cdn = createServer((request, response) => this.#atCdn(request, response));
  }

  static async start(models: Readonly<Record<string, HubModel>>): Promise<HubServer> {
    const server = new HubServer(models);
    for (const each of [server.#hub, server.#cdn])
      await new Promise<void>((resolve) => each.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }

  commitOf(name: string): string {
    return this.#models.get(name)?.commit ?? "";
  }

  /** Requests for a file's content. */
  fetched(path: string): SeenRequest[] {
    return this.requests.filter(
      (request) => request.method === "GET" && request.path.endsWith(`/${path}`) && !request.path.includes("/resolve/"),
    );
  }

  async stop(): Promise<void> {
    for (const each of [this.#hub, this.#cdn]) {
      each.closeAllConnections();
      await new Promise((resolve) => each.close(resolve));
    }
  }

  #see(request: IncomingMessage, origin: "hub" | "cdn"): URL {
    const url = new URL(request.url ?? "/", "http://hub");
    this.requests.push({
      method: request.method ?? "",
      path: decodeURIComponent(url.pathname),
      range: request.headers.range,
      authorization: request.headers.authorization,
      origin,
    });
    return url;
  }

  #atHub(request: IncomingMessage, response: ServerResponse): void {
    const url = this.#see(request, "hub");
    const refuse = (status: number, code: string | undefined, message: string): void => {
      response.writeHead(status, {
        "content-type": "application/json",
        "x-error-message": message,
        ...(code === undefined ? {} : { "x-error-code": code }),
      });
      response.end(JSON.stringify({ error: message }));
    };
    const { authorization } = request.headers;
    const known = [undefined, `Bearer ${acceptedToken}`, `Bearer ${plainToken}`];
    if (!known.includes(authorization)) return refuse(401, undefined, "Invalid credentials in Authorization header");

    // Without a revision, model info is that of the main branch.
    const path = decodeURIComponent(url.pathname).replace(/^(\/api\/models\/[^/]+\/[^/]+)$/, "$1/revision/main");
    const [, api, name, action, rest = ""] =
      /^\/(api\/models\/|api\/resolve-cache\/models\/)?([^/]+\/[^/]+)\/(revision|tree|resolve|[0-9a-f]{40})\/?(.*)$/.exec(
        path,
      ) ?? [];
    const model = this.#models.get(name);
    if (model === undefined)
      return authorization === undefined
        ? refuse(401, undefined, "Invalid username or password.")
        : refuse(404, "RepoNotFound", "Repository not found");
    const revisions = [...(model.revisions ?? ["main"]), model.commit];
    const fault = this.faults.get("api");
    if (fault?.status !== undefined) return refuse(fault.status, undefined, "the hub is down");

    if (action === "revision") {
      if (!revisions.includes(rest)) return refuse(404, "RevisionNotFound", `Invalid rev id: ${rest}`);
      response.writeHead(200, { "content-type": "application/json" });
      response.end(
        JSON.stringify({
          _id: "0",
          id: name,
          modelId: name,
          sha: model.commit,
          private: false,
          gated: model.gated === true ? "auto" : false,
          lastModified: "2024-01-01T00:00:00.000Z",
          downloads: 0,
          likes: 0,
          tags: [],
          siblings: [...model.entries.keys()].map((rfilename) => ({ rfilename })),
        }),
      );
      return;
    }
    if (action === "tree") {
      if (!revisions.includes(rest)) return refuse(404, "RevisionNotFound", `Invalid rev id: ${rest}`);
      const start = Number(url.searchParams.get("cursor") ?? 0);
      const folders = [
        ...new Set(
          [...model.entries.keys()].flatMap((path) => (path.includes("/") ? [path.slice(0, path.indexOf("/"))] : [])),
        ),
      ];
      const all = [
        ...folders.map((path) => ({ type: "directory", oid: model.commit, size: 0, path })),
        ...[...model.entries].map(([path, { content, oid, lfs }]) => ({
          type: "file",
          oid,
          size: content.length,
          path,
          ...(lfs === undefined ? {} : { lfs: { oid: lfs, size: content.length, pointerSize: 130 } }),
        })),
      ];
      const next = new URL(`${url.pathname}${url.search}`, this.endpoint);
      next.searchParams.set("cursor", String(start + TREE_PAGE));
      response.writeHead(200, {
        "content-type": "application/json",
        ...(start + TREE_PAGE < all.length ? { link: `<${next.href}>; rel="next"` } : {}),
      });
      response.end(JSON.stringify(all.slice(start, start + TREE_PAGE)));
      return;
    }

    const isCache = api?.startsWith("api/resolve-cache") === true;
    const revision = isCache ? action : revisions.filter((each) => rest.startsWith(`${each}/`))[0];
    const file = isCache ? rest : rest.slice((revision ?? "").length + 1);
    if (model.gated === true && authorization !== `Bearer ${acceptedToken}`) {
      return refuse(authorization === undefined ? 401 : 403, "GatedRepo", `Access to model ${name} is restricted.`);
    }
    if (revision === undefined) return refuse(404, "RevisionNotFound", "Invalid rev id");
    const entry = model.entries.get(file);
    const fileFault = this.faults.get(file);
    if (entry === undefined || fileFault?.missing === true) return refuse(404, "EntryNotFound", "Entry not found");
    if (fileFault?.status !== undefined) return refuse(fileFault.status, undefined, "the hub is down");
    const headers = {
      "x-repo-commit": model.commit,
      "x-linked-size": String(entry.content.length),
      "x-linked-etag": `"${entry.lfs ?? entry.oid}"`,
      "accept-ranges": "bytes",
    };
    if (isCache) return this.#send(request, response, file, entry, headers);
    const location =
      entry.lfs === undefined
        ? `/api/resolve-cache/models/${name}/${model.commit}/${file}`
        : `http://127.0.0.1:${(this.#cdn.address() as AddressInfo).port}/${name}/${file}`;
    response.writeHead(entry.lfs === undefined ? 307 : 302, { ...headers, location, "content-length": "0" });
    response.end();
  }

  #atCdn(request: IncomingMessage, response: ServerResponse): void {
    const [, name, path] =
      /^\/([^/]+\/[^/]+)\/(.*)$/.exec(decodeURIComponent(this.#see(request, "cdn").pathname)) ?? [];
    const entry = this.#models.get(name)?.entries.get(path);
    if (entry !== undefined) return this.#send(request, response, path, entry, {});
    response.writeHead(403).end();
  }

  #send(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    { content, oid, lfs }: Entry,
    headers: Record<string, string>,
  ): void {
    const fault = this.faults.get(path) ?? {};
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    const start = range === null || fault.ignoreRange === true ? 0 : Number(range[1]);
    const end = range === null || range[2] === "" ? content.length : Math.min(content.length, Number(range[2]) + 1);
    if (start >= content.length && content.length > 0)
      return void response.writeHead(416, { "content-range": `bytes */${content.length}` }).end();
    const body = Buffer.from(content.subarray(start, end));
    if (fault.damage === true) body[body.length >> 1] ^= 0xff;
    response.writeHead(range === null || fault.ignoreRange === true ? 200 : 206, {
      ...headers,
      etag: `"${lfs ?? oid}"`,
      "content-length": String(body.length),
      ...(range === null || fault.ignoreRange === true
        ? {}
        : { "content-range": `bytes ${start}-${end - 1}/${content.length}` }),
    });
    if (request.method === "HEAD") return void response.end();
    if (fault.cutAfter !== undefined && fault.cutAfter < body.length) {
      if (fault.always !== true) this.faults.delete(path);
      response.write(body.subarray(0, fault.cutAfter), () => setTimeout(() => response.destroy(), 20));
      return;
    }
    void trickle(response, body, fault.bytesAMillisecond);
  }
}

async function trickle(response: ServerResponse, body: Buffer, bytesAMillisecond = Infinity): Promise<void> {
  const PAUSE = 10;
  const part = Math.min(body.length, bytesAMillisecond * PAUSE);
  for (let at = 0; at < body.length && !response.destroyed; at += part) {
    response.write(body.subarray(at, at + part));
    if (at + part < body.length) await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  response.end();
}
