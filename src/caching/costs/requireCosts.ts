/** Whether measured costs apply to a model and a run. */
import { ArgumentError } from "../../errors.js";
import type { Costs } from "./costs.js";

/** Throws ArgumentError where costs were measured on another model, or at another latent size. */
export function requireCostsOf(
  { setting }: Costs,
  model: { readonly fingerprint: string; readonly name: string },
  latentSize: readonly [height: number, width: number],
): void {
  if (setting.fingerprint !== model.fingerprint)
    throw new ArgumentError(
      `costs: expected those of ${model.name}, found another model's — run \`blockcache costs\` on it`,
    );
  if (setting.latent_size.join() === latentSize.join()) return;
  throw new ArgumentError(
    `costs: expected those of ${latentSize.join("×")} latents, found ${setting.latent_size.join("×")} — measure them at this size (\`blockcache costs --height … --width …\`)`,
  );
}

/** How a run differs from the one that its costs were measured on; each difference makes the prediction rough. */
export function costsCaveats(
  { setting }: Costs,
  { device, rows }: { readonly device?: string; readonly rows: number },
): string[] {
  return [
    ...(setting.rows === rows
      ? []
      : [
          `costs were measured at ${setting.rows} rows, and a batch here has ${rows}: predicted speed-ups are rough — \`blockcache costs --rows ${rows}\``,
        ]),
    ...(device === undefined || device === setting.device
      ? []
      : [
          `costs were measured on ${setting.device}, and this runs on ${device}: predicted speed-ups are of another machine`,
        ]),
  ];
}
