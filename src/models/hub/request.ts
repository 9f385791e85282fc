/** Requests to the hub: the token where it belongs, and every refusal as an error that says what to do. */
import { HubError } from "../../errors.js";
import { VERSION } from "../../version.js";
import type { HubEnvironment } from "./environment.js";
import type { ModelId } from "./modelId.js";

/** A hub that says nothing for this long is taken to be down. */
export const SILENCE_MILLISECONDS = 30_000;

/**
 * `fetch` for one model.
 *
 * @throws HubError for every answer but 2xx, and where there is none
 */
export function hubFetch(environment: HubEnvironment, id: ModelId, signal?: AbortSignal): typeof fetch {
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const headers = new Headers(init?.headers);
    headers.set("user-agent", `blockcache/${VERSION}; node/${process.versions.node}`);
    // A range of a compressed body would be a range of other bytes.
    headers.set("accept-encoding", "identity");
    // On its way to another host, as after a redirect, fetch itself drops the token.
    if (environment.token !== undefined && url.origin === new URL(environment.endpoint).origin)
      headers.set("authorization", `Bearer ${environment.token}`);
    let response: Response;
    try {
      response = await fetch(url, {
        ...init,
        headers,
        signal: init?.signal ?? anyOf(AbortSignal.timeout(SILENCE_MILLISECONDS), signal),
      });
    } catch (error) {
      throw new HubError(
        "unreachable",
        `${id.name}: no answer from ${url.origin} (${causeOf(error)}) — check the network and HF_ENDPOINT, or set HF_HUB_OFFLINE=1 to use what the cache holds`,
      );
    }
    if (response.ok) return response;
    await response.body?.cancel();
    throw refusal(response, url, environment, id);
  };
}

/** A signal that aborts when either of two does. */
export function anyOf(signal: AbortSignal, other: AbortSignal | undefined): AbortSignal {
  return other === undefined ? signal : AbortSignal.any([signal, other]);
}

/** Why a request failed before HTTP gave an answer: the system's error code where there is one. */
export function causeOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof Error && "code" in cause && typeof cause.code === "string") return cause.code;
  return cause instanceof Error ? cause.message : String(cause);
}

/** The hub's X-Error-Code says more than its status alone (huggingface_hub, utils/_http.py). */
function refusal(
  response: Response,
  url: URL,
  { endpoint, token }: HubEnvironment,
  { name, revision }: ModelId,
): HubError {
  const page = `${endpoint}/${name}`;
  const status = `HTTP ${response.status}`;
  switch (response.headers.get("x-error-code")) {
    case "GatedRepo":
      return new HubError(
        "gated",
        `${name}: access is gated (${status}) — accept its conditions on ${page}, then set HF_TOKEN to a token of that account (${endpoint}/settings/tokens)`,
      );
    case "RevisionNotFound":
      return new HubError(
        "no-revision",
        `${name}: no revision "${revision}" (${status}) — its branches and tags are listed on ${page}/tree/main`,
      );
    case "EntryNotFound":
      return new HubError(
        "missing-file",
        `${name}: ${decodeURIComponent(url.pathname)} is not there (${status}) — the repository on ${page} is incomplete; ask its owner, or try another revision (${name}@…)`,
      );
  }
  if (
    response.status === 401 &&
    token !== undefined &&
    response.headers.get("x-error-message")?.includes("Invalid credentials")
  ) {
    return new HubError(
      "unauthorized",
      `${name}: the hub does not accept the token in HF_TOKEN or in the token file (${status}) — make a new one on ${endpoint}/settings/tokens`,
    );
  }
  if (response.status === 401 || response.status === 404) {
    return new HubError(
      "not-found",
      `${name}: no folder or file of this name here, and no such model on ${endpoint}, or a private one (${status}) — check the spelling; for a private model set HF_TOKEN to a token that may read it`,
    );
  }
  if (response.status === 403)
    return new HubError(
      "unauthorized",
      `${name}: the hub refuses access (${status}: ${response.headers.get("x-error-message") ?? "no reason given"}) — see ${page}, and check what the token in HF_TOKEN may read`,
    );
  return new HubError(
    "unreachable",
    `${name}: ${url.origin} answers ${status} — try again later, or set HF_HUB_OFFLINE=1 to use what the cache holds`,
  );
}
