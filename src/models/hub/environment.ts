/** Where the hub is and where its files are kept: the environment variables of Hugging Face's own libraries. */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

/** The settings of one download, read when it begins. */
export interface HubEnvironment {
  /** address of the hub, without a slash at its end */
  readonly endpoint: string;
  /** folder of the cache, which holds `models--owner--name` */
  readonly cacheFolder: string;
  readonly token: string | undefined;
  /** whether the network must not be used */
  readonly offline: boolean;
}

const TRUE = ["1", "ON", "YES", "TRUE"];

/**
 * Reads HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN (or the token file that `hf auth login` writes) and
 * HF_HUB_OFFLINE, with their older names, as huggingface_hub 2 does (constants.py, utils/_auth.py).
 */
export async function hubEnvironment(
  variables: Readonly<Record<string, string | undefined>> = process.env,
): Promise<HubEnvironment> {
  const home = expand(
    variables.HF_HOME ?? join(variables.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "huggingface"),
    variables,
  );
  const offline = variables.HF_HUB_OFFLINE || variables.TRANSFORMERS_OFFLINE || "";
  return {
    endpoint: (variables.HF_ENDPOINT || "https://huggingface.co").replace(/\/+$/, ""),
    cacheFolder: expand(variables.HF_HUB_CACHE ?? variables.HUGGINGFACE_HUB_CACHE ?? join(home, "hub"), variables),
    token:
      clean(variables.HF_TOKEN || variables.HUGGING_FACE_HUB_TOKEN) ??
      clean(await tokenFile(expand(variables.HF_TOKEN_PATH ?? join(home, "token"), variables))),
    offline: TRUE.includes(offline.toUpperCase()),
  };
}

/** `~` and `$NAME` or `${NAME}` in a path, as Python's expanduser and expandvars. */
function expand(path: string, variables: Readonly<Record<string, string | undefined>>): string {
  return path
    .replace(/^~(?=\/|$)/, homedir())
    .replace(
      /\$(?:(\w+)|\{([^}]*)\})/g,
      (whole, plain: string | undefined, braced: string | undefined) => variables[plain ?? braced ?? ""] ?? whole,
    );
}

async function tokenFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return undefined;
  }
}

function clean(token: string | undefined): string | undefined {
  return token?.replace(/[\r\n]/g, "").trim() || undefined;
}
