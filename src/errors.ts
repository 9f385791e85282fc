/**
 * The errors a caller can act on. Every message says where, the rule, the value
 * found and how to fix it, in one line.
 */

/** Base of all errors that this library throws on purpose. */
export class BlockcacheError extends Error {
  override name = "BlockcacheError";
}

/** What is wrong in a file from outside: a model folder, a tensor file, a profile, a prompt list. */
export interface FileProblem {
  /** Path of the file. */
  readonly file: string;
  /** The key, tensor or byte position inside the file, when there is one. */
  readonly field?: string;
  /** What was found there. */
  readonly found: string;
  /** What the rule asks for. */
  readonly expected: string;
  /** How to fix it. */
  readonly hint?: string;
}

/** A file does not hold what it must: damaged, inconsistent, or of another kind. */
export class InvalidFileError extends BlockcacheError {
  override name = "InvalidFileError";
  readonly problem: FileProblem;

  constructor(problem: FileProblem) {
    const where = problem.field === undefined ? problem.file : `${problem.file}: ${problem.field}`;
    const hint = problem.hint === undefined ? "" : ` — ${problem.hint}`;
    super(`${where}: expected ${problem.expected}, found ${problem.found}${hint}`);
    this.problem = problem;
  }
}

/** A model asks for something this library does not implement; the message names key and value. */
export class UnsupportedError extends BlockcacheError {
  override name = "UnsupportedError";
}

/** The caller's own arguments are wrong: an unknown block, a latent size the network cannot take. */
export class ArgumentError extends BlockcacheError {
  override name = "ArgumentError";
}

/** NaN or infinity where numbers are needed: the message says at which network evaluation it first was, and where. */
export class NotFiniteError extends BlockcacheError {
  override name = "NotFiniteError";
}

/** Another process is writing what this one would write; the message says which. Wait for it, or write elsewhere. */
export class InUseError extends BlockcacheError {
  override name = "InUseError";
}

/** The device asked for is not there on this machine; the message says how to get it. */
export class DeviceUnavailableError extends BlockcacheError {
  override name = "DeviceUnavailableError";
}

/** A device that was there failed at its work: out of memory, lost, or without an operator that a graph needs. */
export class DeviceError extends BlockcacheError {
  override name = "DeviceError";
}

/** Something was used after it was released: a tensor, a graph, a pipeline. */
export class ReleasedError extends BlockcacheError {
  override name = "ReleasedError";
}

/** Why the hub did not give a model. */
export type HubRefusal =
  /** no such model, or a private one that the token may not read */
  | "not-found"
  /** the model's conditions must be accepted first */
  | "gated"
  /** the token is not valid, or may not read this */
  | "unauthorized"
  /** no such branch, tag or commit */
  | "no-revision"
  /** the model lacks a file that it lists */
  | "missing-file"
  /** HF_HUB_OFFLINE is set and the cache does not hold the model */
  | "offline"
  /** no answer, or one that says that the hub is down */
  | "unreachable"
  /** the connection broke again and again; what has arrived is kept, and the next try resumes */
  | "cut"
  /** what arrived is not what the hub lists: wrong size or hash, or an answer that makes no sense */
  | "damaged"
  /** the cache's disk has no room */
  | "disk-full"
  /** the cache's folder may not be written */
  | "not-writable";

/** A model could not be fetched from the Hugging Face hub; the message says what to do. */
export class HubError extends BlockcacheError {
  override name = "HubError";
  readonly reason: HubRefusal;

  constructor(reason: HubRefusal, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** Loading, sampling or measuring was stopped by an AbortSignal or an interrupt. */
export class InterruptedError extends BlockcacheError {
  override name = "InterruptedError";
}
