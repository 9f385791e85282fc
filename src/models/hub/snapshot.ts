/** A model of the hub as a folder on disk: from the Hugging Face cache, downloading what is missing. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { listFiles, modelInfo } from "@huggingface/hub";
import { BlockcacheError, HubError, InterruptedError, InvalidFileError } from "../../errors.js";
import type { HubRefusal } from "../../errors.js";
import { readJson } from "../../files/json.js";
import { stopSignal } from "../../interruption.js";
import { onDisk, requireRoom } from "./disk.js";
import { download, missingBytes } from "./download.js";
import type { RemoteFile } from "./download.js";
import { hubEnvironment } from "./environment.js";
import type { HubEnvironment } from "./environment.js";
import { isCommit } from "./modelId.js";
import type { ModelId } from "./modelId.js";
import { Repository } from "./repository.js";
import { hubFetch } from "./request.js";
import { MODEL_INDEX, selectFiles } from "./select.js";
import type { Selection } from "./select.js";

export interface SnapshotOptions extends Selection {
  /** called as files come in */
  readonly onDownload?: (bytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * The folder of a model from the hub. Files that the cache has are not fetched again. Where the hub cannot be reached,
 * or refuses access, what the cache has is used, as huggingface_hub does.
 *
 * @throws HubError; InvalidFileError or UnsupportedError where the repository holds no pipeline that we run; InterruptedError
 */
export async function fetchSnapshot(id: ModelId, given: SnapshotOptions): Promise<string> {
  const options = { ...given, signal: stopSignal(given.signal) };
  const environment = await hubEnvironment();
  const repository = new Repository(environment.cacheFolder, id.name);
  const cached = await cachedSnapshot(repository, id, options);
  if (typeof cached === "string") {
    // A cache without the files asked for may hold another variant instead: then only the hub knows whether they exist.
    const complete = isCommit(id.revision) && typeof (await cachedSnapshot(repository, id, options, true)) === "string";
    if (complete || environment.offline) return cached;
  } else if (environment.offline) throw offlineError(environment, id, cached);
  try {
    const fetch = hubFetch(environment, id, options.signal);
    let listing: Listing;
    try {
      listing = await listRepository(environment, id, fetch);
    } catch (error) {
      if (typeof cached === "string" && error instanceof HubError && ACCESS_REFUSED.includes(error.reason))
        return cached;
      throw error;
    }
    return await updateSnapshot(repository, environment, id, listing, fetch, options);
  } catch (error) {
    if (options.signal?.aborted)
      throw new InterruptedError(`${id.name}: the download was interrupted — run again: it continues where it stopped`);
    if (typeof cached === "string" && error instanceof HubError && error.reason === "unreachable") return cached;
    throw error;
  }
}

/**
 * Refusals that say nothing about the model itself: a token that is missing or not valid, or a model that was made
 * private or gated in the meantime.
 */
const ACCESS_REFUSED: readonly HubRefusal[] = ["not-found", "gated", "unauthorized"];

/**
 * The folder, if the cache holds all of it; else an error that says what is missing; undefined if the cache does not
 * hold the model at all.
 */
async function cachedSnapshot(
  repository: Repository,
  { name, revision }: ModelId,
  selection: Selection,
  exact = false,
): Promise<string | BlockcacheError | undefined> {
  const commit = await repository.commitOf(revision);
  if (commit === undefined) return undefined;
  const folder = repository.snapshot(commit);
  const present = await repository.filesOf(commit);
  if (!present.includes(MODEL_INDEX)) return undefined;
  try {
    await selectFiles(name, present, (path) => readJson(join(folder, path)), selection, exact);
    return folder;
  } catch (error) {
    if (error instanceof BlockcacheError) return error;
    throw error;
  }
}

function offlineError(
  { cacheFolder }: HubEnvironment,
  { name, revision }: ModelId,
  lacking: BlockcacheError | undefined,
): HubError {
  const found =
    lacking === undefined
      ? `${cacheFolder} does not hold revision ${revision} of it`
      : `in ${cacheFolder} it is incomplete (${lacking.message})`;
  return new HubError("offline", `${name}: HF_HUB_OFFLINE is set, and ${found} — unset HF_HUB_OFFLINE to download it`);
}

/** What a repository holds at a revision. */
interface Listing {
  readonly commit: string;
  readonly files: ReadonlyMap<string, RemoteFile>;
}

async function updateSnapshot(
  repository: Repository,
  environment: HubEnvironment,
  id: ModelId,
  { commit, files }: Listing,
  fetch: typeof globalThis.fetch,
  options: SnapshotOptions,
): Promise<string> {
  const snapshot = repository.snapshot(commit);
  await onDisk(id.name, () => repository.prepare());

  const get = async (file: RemoteFile, onBytes: (bytes: number) => void): Promise<void> => {
    const label = `${id.name}: ${file.path}`;
    const blob = repository.blob(file.hash.hex);
    const url = `${environment.endpoint}/${id.name}/resolve/${commit}/${file.path}`;
    await download(file, blob, { url, fetch, label, onBytes, signal: options.signal });
    await onDisk(label, () => repository.link(blob, commit, file.path));
  };

  if (!files.has(MODEL_INDEX)) throw noPipeline(environment, id, [...files.keys()]);
  // The files that say which others are needed come first.
  const read = async (path: string): Promise<unknown> => {
    const file = files.get(path);
    if (file !== undefined && !existsSync(join(snapshot, path))) await get(file, () => undefined);
    return readJson(join(snapshot, path));
  };
  const chosen = await selectFiles(id.name, [...files.keys()], read, options);
  const missing = chosen.filter((path) => !existsSync(join(snapshot, path))).flatMap((path) => files.get(path) ?? []);
  const toFetch = await Promise.all(missing.map((file) => missingBytes(file, repository.blob(file.hash.hex))));
  await requireRoom(id.name, repository.folder, sum(toFetch));
  const total = sum(missing.map(({ bytes }) => bytes));
  let done = 0;
  for (const file of missing) {
    await get(file, (bytes) => options.onDownload?.(done + bytes, total));
    done += file.bytes;
    options.onDownload?.(done, total);
  }
  // Last, so that a revision never points to an incomplete snapshot.
  await onDisk(id.name, () => repository.remember(id.revision, commit));
  return snapshot;
}

async function listRepository(
  { endpoint }: HubEnvironment,
  { name, revision }: ModelId,
  fetch: typeof globalThis.fetch,
): Promise<Listing> {
  const nonsense = (what: string): HubError =>
    new HubError("damaged", `${name}: ${endpoint} answers with ${what} — check that HF_ENDPOINT is a Hugging Face hub`);
  const files = new Map<string, RemoteFile>();
  let commit: string;
  try {
    ({ sha: commit } = await modelInfo({ name, revision, additionalFields: ["sha"], hubUrl: endpoint, fetch }));
    if (!isCommit(commit)) throw nonsense("no commit");
    for await (const { type, path, size, oid, lfs } of listFiles({
      repo: { type: "model", name },
      recursive: true,
      revision: commit,
      hubUrl: endpoint,
      fetch,
    })) {
      if (type !== "file") continue;
      const [hex, algorithm] = lfs === undefined ? ([oid ?? "", "git-sha1"] as const) : ([lfs.oid, "sha256"] as const);
      if (!/^[0-9a-f]+$/.test(hex) || hex.length !== (lfs === undefined ? 40 : 64) || !Number.isSafeInteger(size))
        throw nonsense(`no hash or size of ${path}`);
      files.set(path, { path, bytes: size, hash: { algorithm, hex } });
    }
  } catch (error) {
    if (error instanceof BlockcacheError || (error instanceof Error && error.name === "AbortError")) throw error;
    throw nonsense(error instanceof Error ? error.message : String(error));
  }
  return { commit, files };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function noPipeline({ endpoint }: HubEnvironment, { name }: ModelId, present: readonly string[]): InvalidFileError {
  const checkpoints = present.filter((path) => /^[^/]+\.(safetensors|ckpt)$/.test(path));
  return new InvalidFileError({
    file: `${name}/${MODEL_INDEX}`,
    found: "no such file in the repository",
    expected: "a model in the diffusers layout",
    hint:
      checkpoints.length === 0
        ? undefined
        : `it holds single files (${checkpoints.join(", ")}): download one from ${endpoint}/${name} and give its path`,
  });
}
