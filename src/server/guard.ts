/** Who may ask: only a page of ours, from this machine, that has the token. */
import { timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";

/** Whether two texts are equal, in a time that does not tell where they differ. */
export function isSecret(given: string | undefined, secret: string): boolean {
  const [a, b] = [Buffer.from(given ?? ""), Buffer.from(secret)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/**
 * Refuses what another site's page could send: a foreign Host (a name that was made to point here: DNS rebinding) and
 * a foreign Origin.
 */
export function fromThisMachine(port: () => number): MiddlewareHandler {
  return async (context, next) => {
    const hosts = [`127.0.0.1:${port()}`, `localhost:${port()}`];
    const origin = context.req.header("origin");
    if (!hosts.includes(context.req.header("host") ?? "")) return context.text("refused: foreign Host\n", 403);
    if (origin !== undefined && !hosts.some((host) => origin === `http://${host}`))
      return context.text("refused: foreign Origin\n", 403);
    return next();
  };
}

/** Refuses what does not carry the token, as `Authorization: Bearer …`. */
export function withToken(token: string): MiddlewareHandler {
  return async (context, next) => {
    const given = /^Bearer (.+)$/.exec(context.req.header("authorization") ?? "")?.[1];
    if (!isSecret(given, token)) return context.json({ problem: "refused: wrong token" }, 403);
    return next();
  };
}

/**
 * What a browser is told about every answer: nothing from elsewhere, nothing to elsewhere, nothing kept.
 *
 * @param frameAncestors who may show the page in a frame: a notebook on this machine, or nobody
 */
export function strictHeaders(frameAncestors: string): MiddlewareHandler {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    // Plotly sets styles of its own.
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self'",
    "connect-src 'self'",
    "base-uri 'self'",
    "form-action 'none'",
    `frame-ancestors ${frameAncestors}`,
  ].join("; ");
  return async (context, next) => {
    await next();
    context.header("Content-Security-Policy", policy);
    context.header("X-Content-Type-Options", "nosniff");
    context.header("Referrer-Policy", "no-referrer");
    context.header("Cross-Origin-Resource-Policy", "same-origin");
    context.header("Cross-Origin-Opener-Policy", "same-origin");
    context.header("Cache-Control", "no-store");
  };
}
