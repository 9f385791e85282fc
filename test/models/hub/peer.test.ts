/** One cache for both: Python's huggingface_hub reads what we downloaded, we read what it did, by the same environment variables. */
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hubEnvironment } from "../../../src/models/hub/environment.js";
import { fetchSnapshot } from "../../../src/models/hub/snapshot.js";
import { HubServer, readFolder, sha256 } from "./hubServer.js";

const python = process.env.BLOCKCACHE_PEER_PYTHON ?? "/opt/peer/bin/python";
const script = fileURLToPath(new URL("peer.py", import.meta.url));
const tiny = readFolder(fileURLToPath(new URL("../../fixtures/models/sd1-like", import.meta.url)));
const id = { name: "tiny/sd1-like", revision: "main" };
const root = mkdtempSync(join(tmpdir(), "blockcache-peer-"));
const inherited = { ...process.env };
/** Milliseconds that a test with processes of its own may take where the machine is busy. */
const PROCESSES = 240_000;
let hub: HubServer;
beforeAll(async () => {
  hub = await HubServer.start({ "tiny/sd1-like": { files: tiny } });
});
afterAll(async () => {
  process.env = inherited;
  await hub.stop();
  rmSync(root, { recursive: true, force: true });
});

async function peer(args: readonly string[], variables: Readonly<Record<string, string>>): Promise<string> {
  const { stdout } = await promisify(execFile)(python, [script, ...args], { env: { ...inherited, ...variables } });
  return stdout.trim();
}

describe.skipIf(!existsSync(python))("with Python's huggingface_hub", () => {
  it(
    "it finds what we downloaded",
    async () => {
      const home = join(root, "ours");
      Object.assign(process.env, { HF_HOME: home, HF_ENDPOINT: hub.endpoint });
      const folder = await fetchSnapshot(id, { weights: true });
      const found = JSON.parse(await peer(["read", id.name], { HF_HOME: home, HF_HUB_OFFLINE: "1" })) as Record<
        string,
        unknown
      >;
      const files = [...tiny].filter(([path]) => !path.startsWith("reference."));
      expect(found).toMatchObject({
        folder,
        warnings: [],
        repo: id.name,
        commit: hub.commitOf(id.name),
        refs: ["main"],
      });
      expect(found.files).toEqual(Object.fromEntries(files.map(([path, content]) => [path, sha256(content)])));
      expect(found.bytes).toBe(files.reduce((sum, [, { length }]) => sum + length, 0));
    },
    PROCESSES,
  );

  it(
    "we find what it downloaded",
    async () => {
      const home = join(root, "theirs");
      const folder = await peer(["fill", id.name], {
        HF_HOME: home,
        HF_ENDPOINT: hub.endpoint,
        HF_HUB_DISABLE_PROGRESS_BARS: "1",
      });
      hub.requests.length = 0;
      Object.assign(process.env, { HF_HOME: home, HF_HUB_OFFLINE: "1" });
      expect(await fetchSnapshot(id, { weights: true })).toBe(folder);
      delete process.env.HF_HUB_OFFLINE;
      expect(await fetchSnapshot(id, { weights: true })).toBe(folder);
      expect(hub.requests.filter(({ path }) => path.includes("/resolve"))).toEqual([]);
    },
    PROCESSES,
  );

  it(
    "both use the cache where a token is not accepted",
    async () => {
      const home = join(root, "refused");
      const folder = await peer(["fill", id.name], {
        HF_HOME: home,
        HF_ENDPOINT: hub.endpoint,
        HF_HUB_DISABLE_PROGRESS_BARS: "1",
      });
      const refused = {
        HF_HOME: home,
        HF_ENDPOINT: hub.endpoint,
        HF_TOKEN: "hf_old",
        HF_HUB_DISABLE_PROGRESS_BARS: "1",
      };
      expect(await peer(["fill", id.name], refused)).toBe(folder);
      Object.assign(process.env, refused);
      expect(await fetchSnapshot(id, { weights: true })).toBe(folder);
      delete process.env.HF_TOKEN;
    },
    PROCESSES,
  );

  it(
    "the environment means the same",
    async () => {
      const home = join(root, "settings");
      mkdirSync(home);
      writeFileSync(join(home, "token"), "hf_file\n");
      writeFileSync(join(root, "elsewhere"), "  hf_elsewhere\n");
      const HOME = { HOME: homedir() };
      const environments: Record<string, string>[] = [
        { ...HOME },
        { ...HOME, XDG_CACHE_HOME: "/x/cache" },
        { ...HOME, HF_HOME: home },
        {
          ...HOME,
          HF_HOME: home,
          HF_TOKEN: " hf_env\n",
          HF_HUB_OFFLINE: "true",
          HF_ENDPOINT: "https://mirror.example/",
        },
        { ...HOME, HF_HOME: "~/models", HF_TOKEN_PATH: join(root, "elsewhere"), HF_HUB_OFFLINE: "0" },
        {
          ...HOME,
          HF_HOME: "$BASE/models",
          BASE: "/big",
          HF_HUB_CACHE: "${BASE}/$UNSET/hub",
          HUGGING_FACE_HUB_TOKEN: "hf_old",
          TRANSFORMERS_OFFLINE: "yes",
        },
        { ...HOME, HUGGINGFACE_HUB_CACHE: "/old/hub", HF_HUB_OFFLINE: "on" },
      ];
      const theirs = JSON.parse(
        execFileSync(python, [script, "settings"], { input: JSON.stringify(environments), encoding: "utf8" }),
      ) as unknown[];
      const ours = await Promise.all(environments.map((variables) => hubEnvironment(variables)));
      expect(ours.map((each) => ({ ...each, token: each.token ?? null }))).toEqual(theirs);
    },
    PROCESSES,
  );
});
