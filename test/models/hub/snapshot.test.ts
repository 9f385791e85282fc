/** Downloads from a hub on this machine: what is fetched, what goes wrong, and what the cache holds after it. */
import { execFile, execFileSync, spawn } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { HubError, InterruptedError, InvalidFileError, UnsupportedError } from "../../../src/errors.js";
import { parseModelId } from "../../../src/models/hub/modelId.js";
import { fetchSnapshot } from "../../../src/models/hub/snapshot.js";
import type { SnapshotOptions } from "../../../src/models/hub/snapshot.js";
import { openModel } from "../../../src/models/openModel.js";
import { HubServer, acceptedToken, gitHash, isLfs, plainToken, readFolder, sha256 } from "./hubServer.js";
import type { HubModel } from "./hubServer.js";

const sharded = readFolder(fileURLToPath(new URL("../../fixtures/models/three-levels-odd", import.meta.url)));
const tiny = readFolder(fileURLToPath(new URL("../../fixtures/models/sd1-like", import.meta.url)));
const UNET = "unet/diffusion_pytorch_model.safetensors";
const unet = tiny.get(UNET) as Buffer;

/** The files that a published repository has besides. */
const others = new Map(
  [
    "README.md",
    "v1-5-pruned.safetensors",
    "v1-5-pruned.ckpt",
    "safety_checker/config.json",
    "safety_checker/model.safetensors",
    "feature_extractor/preprocessor_config.json",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_flax_model.msgpack",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "text_encoder/pytorch_model.bin",
    "vae_encoder/model.onnx",
    "vae/diffusion_pytorch_model.fp16.bin",
  ].map((path) => [path, Buffer.from(`the content of ${path}`)]),
);
const without = (...paths: string[]): HubModel => ({
  files: new Map([...tiny].filter(([path]) => !paths.includes(path))),
});
const models: Record<string, HubModel> = {
  "tiny/sd1-like": { files: new Map([...tiny, ...others]), revisions: ["main", "refs/pr/1", "v1.0"] },
  "tiny/xl": { files: readFolder(fileURLToPath(new URL("../../fixtures/models/xl-like", import.meta.url))) },
  "tiny/sharded": { files: sharded },
  "tiny/shard-missing": { files: new Map([...sharded].filter(([path]) => !/unet.*-00001-of-/.test(path))) },
  "tiny/gated": { files: tiny, gated: true },
  "tiny/no-config": without("vae/config.json"),
  "tiny/pickled": {
    files: new Map([...without(UNET).files, ["unet/diffusion_pytorch_model.bin", Buffer.from("pickled")]]),
  },
  "tiny/single-file": {
    files: new Map([
      ["v1-5-pruned.safetensors", Buffer.from("x")],
      ["README.md", Buffer.from("x")],
    ]),
  },
};
/** What a float32 pipeline of sd1-like is made of, written down by hand. */
const NEEDED = [
  "model_index.json",
  "scheduler/scheduler_config.json",
  "text_encoder/config.json",
  "text_encoder/model.safetensors",
  "tokenizer/merges.txt",
  "tokenizer/tokenizer_config.json",
  "tokenizer/vocab.json",
  "unet/config.json",
  UNET,
  "vae/config.json",
  "vae/diffusion_pytorch_model.safetensors",
];

/** Milliseconds that a test with processes of its own may take where the machine is busy. */
const PROCESSES = 240_000;

const inherited = { ...process.env };
const root = mkdtempSync(join(tmpdir(), "blockcache-hub-"));
let hub: HubServer;
let home: string;
beforeAll(async () => {
  hub = await HubServer.start(models);
});
beforeEach(() => {
  home = mkdtempSync(join(root, "home-"));
  for (const name of Object.keys(process.env).filter((each) => /^(HF_|HUGGING|TRANSFORMERS)/.test(each)))
    delete process.env[name];
  Object.assign(process.env, { HF_HOME: home, HF_ENDPOINT: hub.endpoint });
  hub.requests.length = 0;
  hub.faults.clear();
});
afterAll(async () => {
  process.env = inherited;
  await hub.stop();
  rmSync(root, { recursive: true, force: true });
});

function get(id: string, options: Partial<SnapshotOptions> = {}): Promise<string> {
  const parsed = parseModelId(id);
  if (parsed === undefined) throw new TypeError(`${id} is no id`);
  return fetchSnapshot(parsed, { weights: true, ...options });
}

async function refusal(id: string, options: Partial<SnapshotOptions> = {}): Promise<HubError> {
  const error: unknown = await get(id, options).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(HubError);
  return error as HubError;
}

/** Everything below the cache, as Python's huggingface_hub would see it: links by their targets. */
function cacheOf(name = "tiny/sd1-like"): Record<string, string> {
  const folder = join(home, "hub", `models--${name.replace("/", "--")}`);
  const entries = existsSync(folder) ? (readdirSync(folder, { recursive: true }) as string[]) : [];
  return Object.fromEntries(
    entries
      .filter((path) => !lstatSync(join(folder, path)).isDirectory())
      .map((path) => {
        const full = join(folder, path);
        return [
          path,
          lstatSync(full).isSymbolicLink()
            ? `→ ${readlinkSync(full)}`
            : path.startsWith("refs/")
              ? readFileSync(full, "utf8")
              : `${statSync(full).size} bytes`,
        ];
      }),
  );
}

function hashOf(path: string, content: Buffer): string {
  return isLfs(path) ? sha256(content) : gitHash(content);
}

/** Whatever happened, each blob is whole, no link dangles, and no reference names a snapshot that is not whole. */
function expectCleanCache(name = "tiny/sd1-like"): void {
  const contents = new Map([...(models[name]?.files ?? [])].map(([path, content]) => [hashOf(path, content), content]));
  for (const [path, shown] of Object.entries(cacheOf(name))) {
    const full = join(home, "hub", `models--${name.replace("/", "--")}`, path);
    if (path.startsWith("blobs/") && !path.endsWith(".incomplete"))
      expect(readFileSync(full).equals(contents.get(path.slice(6)) as Buffer)).toBe(true);
    if (shown.startsWith("→")) expect(existsSync(full)).toBe(true);
  }
}
afterEach(() => expectCleanCache());

const incomplete = (name = "tiny/sd1-like"): string[] =>
  Object.keys(cacheOf(name)).filter((path) => path.endsWith(".incomplete"));

describe("a download", () => {
  it("fetches what is needed, verified, in the layout of the Hugging Face cache", async () => {
    const progress: [number, number][] = [];
    const folder = await get("tiny/sd1-like", { onDownload: (...each) => progress.push(each) });
    const commit = hub.commitOf("tiny/sd1-like");
    expect(folder).toBe(join(home, "hub", "models--tiny--sd1-like", "snapshots", commit));
    for (const path of NEEDED.filter((each) => !isLfs(each)))
      expect(gitHash(tiny.get(path) as Buffer)).toBe(
        execFileSync("git", ["hash-object", "--stdin"], { input: tiny.get(path), encoding: "utf8" }).trim(),
      );
    // blobs by git hash-object and sha256, relative links, the branch's commit without a line end
    const expected = NEEDED.flatMap((path) => {
      const hash = hashOf(path, tiny.get(path) as Buffer);
      return [
        [`blobs/${hash}`, `${(tiny.get(path) as Buffer).length} bytes`],
        [`snapshots/${commit}/${path}`, `→ ${"../".repeat(path.split("/").length + 1)}blobs/${hash}`],
      ];
    });
    expect(cacheOf()).toEqual({ ...Object.fromEntries(expected), "refs/main": commit });
    const total = NEEDED.filter((path) => path !== "model_index.json").reduce(
      (sum, path) => sum + (tiny.get(path) as Buffer).length,
      0,
    );
    expect(progress.at(-1)).toEqual([total, total]);
    expect(progress.every(([bytes], index) => index === 0 || bytes >= progress[index - 1][0])).toBe(true);
  });

  it("fetches nothing twice, and asks nothing at all about a commit that is there", async () => {
    await get("tiny/sd1-like");
    hub.requests.length = 0;
    await get("tiny/sd1-like");
    expect(hub.requests.filter(({ path }) => path.includes("/resolve"))).toEqual([]);
    hub.requests.length = 0;
    await get(`tiny/sd1-like@${hub.commitOf("tiny/sd1-like")}`);
    expect(hub.requests).toEqual([]);
  });

  it("knows branches, tags and pull requests", async () => {
    const folder = await get("tiny/sd1-like@refs/pr/1");
    expect(folder).toBe(await get("tiny/sd1-like@v1.0"));
    expect(cacheOf()).toMatchObject({
      "refs/refs/pr/1": hub.commitOf("tiny/sd1-like"),
      "refs/v1.0": hub.commitOf("tiny/sd1-like"),
    });
  });

  it("takes the variant where there is one, the plain weights elsewhere", async () => {
    const folder = await get("tiny/sd1-like", { variant: "fp16" });
    expect(readdirSync(join(folder, "unet")).sort()).toEqual([
      "config.json",
      "diffusion_pytorch_model.fp16.safetensors",
    ]);
    expect(readdirSync(join(folder, "vae")).sort()).toEqual(["config.json", "diffusion_pytorch_model.safetensors"]);
  });

  it("asks the hub about a commit of which the cache holds another variant, and uses that only where the hub does not answer", async () => {
    const pinned = `tiny/sd1-like@${hub.commitOf("tiny/sd1-like")}`;
    const folder = await get(pinned, { variant: "fp16" });
    const weights = (): string[] =>
      readdirSync(join(folder, "unet"))
        .filter((name) => name !== "config.json")
        .sort();
    expect(weights()).toEqual(["diffusion_pytorch_model.fp16.safetensors"]);
    hub.faults.set("api", { status: 503 });
    expect(await get(pinned)).toBe(folder);
    hub.faults.clear();
    expect(await get(pinned)).toBe(folder);
    expect(weights()).toEqual(["diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.safetensors"]);
    hub.requests.length = 0;
    await get(pinned);
    expect(hub.requests).toEqual([]);
  });

  it("takes all shards, and refuses where one is not there", async () => {
    const folder = await get("tiny/sharded");
    const shards = [...sharded.keys()].filter((path) => path.startsWith("unet/diffusion"));
    expect(
      readdirSync(join(folder, "unet"))
        .filter((name) => name !== "config.json")
        .sort(),
    ).toEqual(shards.map((path) => path.slice(5)).sort());
    const weights = await (await openModel("tiny/sharded")).openUNetWeights();
    expect(weights.names()).toContain("conv_in.weight");
    await weights.close();
    await expect(get("tiny/shard-missing")).rejects.toThrow(
      /^tiny\/shard-missing\/unet\/.*: expected all of them, found \d+ of \d+ shards — download the missing ones/,
    );
  });

  it("shows the token to the hub alone", async () => {
    writeFileSync(join(home, "token"), `${acceptedToken}\n`);
    await get("tiny/gated");
    expect(
      new Set(hub.requests.filter(({ origin }) => origin === "hub").map(({ authorization }) => authorization)),
    ).toEqual(new Set([`Bearer ${acceptedToken}`]));
    expect(
      new Set(hub.requests.filter(({ origin }) => origin === "cdn").map(({ authorization }) => authorization)),
    ).toEqual(new Set([undefined]));
  });
});

describe("a connection that breaks", () => {
  it("is taken up again where it broke", async () => {
    hub.faults.set(UNET, { cutAfter: 50_000 });
    await get("tiny/sd1-like");
    expect(hub.fetched(UNET).map(({ range }) => range)).toEqual([undefined, "bytes=50000-"]);
    expect(incomplete()).toEqual([]);
  });

  it("again and again: the error says so, and the next run goes on", async () => {
    hub.faults.set(UNET, { cutAfter: 50_000 });
    const failing = refusal("tiny/sd1-like");
    while (hub.fetched(UNET).length === 0) await delay(5);
    hub.faults.set(UNET, { cutAfter: 0, always: true });
    expect(await failing).toMatchObject({
      reason: "cut",
      message: expect.stringMatching(
        /^tiny\/sd1-like: unet\/diffusion_pytorch_model\.safetensors: the connection \w+ at byte \d+ of \d+.* — run again: it continues from there$/,
      ),
    });
    expect(incomplete()).toHaveLength(1);
    expect(cacheOf()).not.toHaveProperty("refs/main");
    hub.faults.clear();
    hub.requests.length = 0;
    await get("tiny/sd1-like");
    expect(hub.fetched(UNET).map(({ range }) => range)).toEqual(["bytes=50000-"]);
    expect(incomplete()).toEqual([]);
  });

  it("starts over where the server cannot give a range", async () => {
    hub.faults.set(UNET, { cutAfter: 50_000 });
    const getting = get("tiny/sd1-like");
    while (hub.fetched(UNET).length === 0) await delay(5);
    hub.faults.set(UNET, { ignoreRange: true });
    await getting;
    expect(hub.fetched(UNET)).toHaveLength(2);
  });

  it("stops at an AbortSignal, and goes on later", async () => {
    hub.faults.set(UNET, { bytesAMillisecond: 500 });
    const controller = new AbortController();
    const getting = get("tiny/sd1-like", {
      signal: controller.signal,
      onDownload: () => hub.fetched(UNET).length > 0 && setTimeout(() => controller.abort(), 50),
    });
    await expect(getting).rejects.toThrow(InterruptedError);
    expect(incomplete()).toHaveLength(1);
    hub.faults.clear();
    hub.requests.length = 0;
    await get("tiny/sd1-like");
    expect(hub.fetched(UNET)[0].range).toMatch(/^bytes=[1-9]\d*-$/);
  });
});

describe("damage", () => {
  it("is found by the hash, and nothing of it is kept", async () => {
    for (const path of [UNET, "tokenizer/vocab.json"]) {
      hub.faults.set(path, { damage: true });
      expect(await refusal("tiny/sd1-like")).toMatchObject({
        reason: "damaged",
        message: expect.stringMatching(
          new RegExp(`${path}: expected (sha256|git-sha1) \\w+, found \\w+ — .*run again`),
        ),
      });
      expect(incomplete()).toEqual([]);
      hub.faults.clear();
    }
  });

  it("in what was kept from a cut is mended by starting over", async () => {
    await get("tiny/sd1-like");
    const blob = join(home, "hub", "models--tiny--sd1-like", "blobs", sha256(unet));
    rmSync(blob);
    writeFileSync(`${blob}.0123abcd.incomplete`, Buffer.alloc(1000, 7));
    utimesSync(`${blob}.0123abcd.incomplete`, 0, 0);
    hub.requests.length = 0;
    await get("tiny/sd1-like");
    expect(hub.fetched(UNET).map(({ range }) => range)).toEqual(["bytes=1000-", undefined]);
  });
});

describe("a refusal says what to do", () => {
  it.each([
    [
      "an unknown model",
      "tiny/none",
      undefined,
      "not-found",
      /no such model on .*\(HTTP 401\) — check the spelling; for a private model set HF_TOKEN/,
    ],
    ["an unknown model, with a token", "tiny/none", plainToken, "not-found", /no such model on .*\(HTTP 404\)/],
    [
      "an unknown revision",
      "tiny/sd1-like@v9",
      undefined,
      "no-revision",
      /no revision "v9".*\/tiny\/sd1-like\/tree\/main/,
    ],
    [
      "a gated model",
      "tiny/gated",
      undefined,
      "gated",
      /gated \(HTTP 401\) — accept its conditions on .*\/tiny\/gated, then set HF_TOKEN/,
    ],
    [
      "a gated model whose conditions were not accepted",
      "tiny/gated",
      plainToken,
      "gated",
      /gated \(HTTP 403\) — accept/,
    ],
    [
      "a token that is not valid",
      "tiny/sd1-like",
      "hf_old",
      "unauthorized",
      /does not accept the token in HF_TOKEN.*settings\/tokens/,
    ],
  ])("%s", async (_, id, token, reason, message) => {
    if (token !== undefined) process.env.HF_TOKEN = token;
    expect(await refusal(id)).toMatchObject({ reason, message: expect.stringMatching(message) });
    expect(cacheOf(id.split("@")[0])).toEqual({});
  });

  it("a file that is listed and not there", async () => {
    hub.faults.set(UNET, { missing: true });
    expect(await refusal("tiny/sd1-like")).toMatchObject({
      reason: "missing-file",
      message: expect.stringMatching(/unet\/diffusion_pytorch_model\.safetensors is not there.*incomplete/),
    });
    expect(cacheOf()).not.toHaveProperty("refs/main");
  });

  it("repositories that hold no pipeline", async () => {
    await expect(get("tiny/no-config")).rejects.toThrow(InvalidFileError);
    await expect(get("tiny/no-config")).rejects.toThrow(
      /^tiny\/no-config\/vae\/config\.json: expected the config of the vae that model_index\.json names, found no such file/,
    );
    await expect(get("tiny/pickled")).rejects.toThrow(UnsupportedError);
    await expect(get("tiny/pickled")).rejects.toThrow(/pickled Python objects, which run code.*safe_serialization/);
    await expect(get("tiny/single-file")).rejects.toThrow(
      /model_index\.json: expected a model in the diffusers layout.*single files \(v1-5-pruned\.safetensors\)/,
    );
    expect(hub.requests.filter(({ path }) => path.endsWith(".safetensors"))).toEqual([]);
  });

  it("no hub at all", async () => {
    process.env.HF_ENDPOINT = "http://127.0.0.1:9";
    expect(await refusal("tiny/sd1-like")).toMatchObject({
      reason: "unreachable",
      message: expect.stringMatching(
        /no answer from http:\/\/127\.0\.0\.1:9 \(.+\) — check the network and HF_ENDPOINT/,
      ),
    });
  });

  it("an address that is no hub", async () => {
    const { createServer } = await import("node:http");
    const web = createServer((_, response) => void response.end("<html>hello</html>"));
    await new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve));
    process.env.HF_ENDPOINT = `http://127.0.0.1:${(web.address() as { port: number }).port}`;
    expect(await refusal("tiny/sd1-like")).toMatchObject({
      reason: "damaged",
      message: expect.stringMatching(/check that HF_ENDPOINT is a Hugging Face hub/),
    });
    web.close();
  });
});

describe("without a hub", () => {
  it("uses what the cache holds: offline, or where the hub is down", async () => {
    const folder = await get("tiny/sd1-like");
    hub.requests.length = 0;
    process.env.HF_HUB_OFFLINE = "1";
    expect(await get("tiny/sd1-like")).toBe(folder);
    expect(hub.requests).toEqual([]);
    delete process.env.HF_HUB_OFFLINE;
    hub.faults.set("api", { status: 503 });
    expect(await get("tiny/sd1-like")).toBe(folder);
    process.env.HF_ENDPOINT = "http://127.0.0.1:9";
    expect(await get("tiny/sd1-like")).toBe(folder);
  });

  it.each([
    ["made private since", 401, undefined],
    ["forbidden", 403, acceptedToken],
    ["taken away", 404, acceptedToken],
  ])("uses what the cache holds of a model that was %s, as huggingface_hub does", async (_, status, token) => {
    const folder = await get("tiny/sd1-like");
    if (token !== undefined) process.env.HF_TOKEN = token;
    hub.faults.set("api", { status });
    expect(await get("tiny/sd1-like")).toBe(folder);
    // What is not whole is no substitute: the hub's own answer is told.
    rmSync(join(folder, UNET));
    expect(await refusal("tiny/sd1-like")).toMatchObject({ reason: status === 403 ? "unauthorized" : "not-found" });
  });

  it("uses what the cache holds where a token is no longer accepted, but not of a revision that is gone", async () => {
    process.env.HF_TOKEN = acceptedToken;
    const folder = await get("tiny/gated");
    process.env.HF_TOKEN = "hf_old";
    expect(await get("tiny/gated")).toBe(folder);
    delete process.env.HF_TOKEN;
    expect(await get("tiny/gated")).toBe(folder);
    writeFileSync(join(folder, "..", "..", "refs", "v9"), hub.commitOf("tiny/gated"));
    expect(await refusal("tiny/gated@v9")).toMatchObject({ reason: "no-revision" });
  });

  it("says what the cache lacks", async () => {
    process.env.HF_HUB_OFFLINE = "yes";
    expect(await refusal("tiny/sd1-like")).toMatchObject({
      reason: "offline",
      message: expect.stringMatching(/HF_HUB_OFFLINE is set, and .* does not hold revision main of it — unset/),
    });
    delete process.env.HF_HUB_OFFLINE;
    const folder = await get("tiny/sd1-like");
    rmSync(join(folder, UNET));
    process.env.HF_HUB_OFFLINE = "1";
    expect(await refusal("tiny/sd1-like")).toMatchObject({
      reason: "offline",
      message: expect.stringMatching(/it is incomplete \(tiny\/sd1-like\/unet\/.*expected weights/),
    });
  });
});

describe("several processes", () => {
  const script = `
    import { fetchSnapshot } from ${JSON.stringify(new URL("../../../dist/models/hub/snapshot.js", import.meta.url).href)};
    console.log(await fetchSnapshot({ name: "tiny/sd1-like", revision: "main" }, { weights: true }));
  `;
  const args = ["--input-type=module", "--eval", script];

  it(
    "at once: both have it, and the cache is whole",
    async () => {
      hub.faults.set(UNET, { bytesAMillisecond: 500 });
      const run = promisify(execFile);
      const results = await Promise.all([1, 2, 3].map(() => run(process.execPath, args)));
      expect(new Set(results.map(({ stdout }) => stdout.trim()))).toEqual(
        new Set([join(home, "hub", "models--tiny--sd1-like", "snapshots", hub.commitOf("tiny/sd1-like"))]),
      );
      expect(Object.keys(cacheOf())).toHaveLength(2 * NEEDED.length + 1);
      // the large file was waited for, not fetched three times
      expect(hub.fetched(UNET)).toHaveLength(1);
    },
    PROCESSES,
  );

  it(
    "one of them killed: the next one goes on where it was",
    async () => {
      hub.faults.set(UNET, { bytesAMillisecond: 200 });
      const child = spawn(process.execPath, args);
      const size = (): number =>
        Math.max(0, ...incomplete().map((path) => statSync(join(home, "hub", "models--tiny--sd1-like", path)).size));
      while (hub.fetched(UNET).length === 0 || size() < 10_000) await delay(10);
      child.kill("SIGKILL");
      await new Promise((resolve) => child.once("exit", resolve));
      const [left] = incomplete();
      // as if the time had passed after which a silent process counts as dead
      utimesSync(
        join(home, "hub", "models--tiny--sd1-like", left),
        new Date(Date.now() - 60_000),
        new Date(Date.now() - 60_000),
      );
      hub.faults.clear();
      hub.requests.length = 0;
      await get("tiny/sd1-like");
      expect(hub.fetched(UNET).map(({ range }) => range)).toEqual([expect.stringMatching(/^bytes=[1-9]\d+-$/)]);
      expect(incomplete()).toEqual([]);
    },
    PROCESSES,
  );
});

describe("a full disk", () => {
  const canMount =
    process.platform === "linux" &&
    ((): boolean => {
      try {
        execFileSync("unshare", ["--mount", "--map-root-user", "mount", "-t", "tmpfs", "none", root], {
          stdio: "ignore",
        });
        return true;
      } catch {
        return false;
      }
    })();

  // A file system of its own, of that size; a file takes what is free once the network's weights begin to come. Then what is left on it.
  const onSmallDisk = (size: string, fillUp: boolean): Promise<{ stdout: string; stderr: string }> =>
    promisify(execFile)(
      "unshare",
      [
        "--mount",
        "--map-root-user",
        "sh",
        "-c",
        `
      mount -t tmpfs -o size=${size} none "$HF_HOME" || exit 9
      "$NODE" "$MAIN" inspect tiny/sd1-like --json > /dev/null & download=$!
      ${fillUp ? `while ! [ -s "$HF_HOME"/hub/*/blobs/${sha256(unet)}.*.incomplete ] && kill -0 $download; do sleep 0.02; done; cat /dev/zero > "$HF_HOME/other" 2> /dev/null` : ""}
      wait $download && exit 8
      find "$HF_HOME" -type f -o -type l
    `,
      ],
      {
        env: {
          ...process.env,
          NODE: process.execPath,
          MAIN: fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url)),
        },
      },
    );

  it.skipIf(!canMount)(
    "is found before the download where the sizes tell",
    async () => {
      const { stdout, stderr } = await onSmallDisk("300k", false);
      expect(stderr).toMatch(
        /^blockcache: tiny\/sd1-like: expected [\d.]+ MiB of free disk in .*, found 0\.\d MiB — make room, or set HF_HOME to a folder on another disk\n$/,
      );
      expect(stdout).not.toMatch(/refs|safetensors|incomplete/);
    },
    PROCESSES,
  );

  it.skipIf(!canMount)(
    "is an error that says what to do where it fills up on the way",
    async () => {
      hub.faults.set(UNET, { bytesAMillisecond: 200 });
      const { stdout, stderr } = await onSmallDisk("3m", true);
      expect(stderr).toMatch(
        /^blockcache: tiny\/sd1-like: unet\/.*: the disk of the cache is full — make room, or set HF_HOME.*run again: it continues where it stopped\n$/,
      );
      expect(stdout).not.toMatch(/refs|snapshots\/\w+\/unet\/diffusion/);
    },
    PROCESSES,
  );
});

describe("openModel", () => {
  it("takes an id where it takes a folder", async () => {
    const folder = await openModel("tiny/sd1-like");
    expect(folder.name).toBe("tiny/sd1-like");
    expect(folder.unet.block_out_channels).toEqual([16, 32]);
  });

  it("has both text encoders of SDXL", async () => {
    const folder = await openModel("tiny/xl");
    for (const encoder of folder.textEncoders) {
      await encoder.loadTokenizer();
      await (await encoder.openWeights()).close();
    }
    expect(folder.textEncoders.map(({ name }) => name)).toEqual(["text_encoder", "text_encoder_2"]);
  });

  it("takes a path that exists for a path", async () => {
    const before = process.cwd();
    process.chdir(home);
    mkdirSync(join(home, "tiny", "sd1-like"), { recursive: true });
    await expect(openModel("tiny/sd1-like")).rejects.toThrow(/model_index\.json: expected a model folder/);
    process.chdir(before);
    expect(hub.requests).toEqual([]);
  });

  it.each([
    "no-such-model",
    "./tiny/sd1-like",
    "tiny/sd1-like/unet",
    "tiny/..",
    "tiny/sd1--like",
    "tiny/sd1-like@",
    "tiny/sd1-like@../../x",
  ])("refuses %s, which is neither", async (model) => {
    await expect(openModel(model)).rejects.toThrow(
      /^model: expected a diffusers folder, a single \.safetensors file, an embedded model's name or an id on the hub \(owner\/name, owner\/name@revision\), found/,
    );
    expect(hub.requests).toEqual([]);
  });
});
