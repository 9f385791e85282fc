import { InvalidArgumentError, Option } from "commander";

/** `--scheduler-config use_karras_sigmas=true algorithm_type=sde-dpmsolver++ …`: changes to scheduler_config.json. */
export function schedulerConfigOption(): Option {
  return new Option("--scheduler-config <key=value...>", "change the model's scheduler_config.json, by diffusers' keys: use_karras_sigmas=true timestep_spacing=trailing …").argParser(
    (text: string, before: Readonly<Record<string, unknown>> = {}) => ({ ...before, ...parsePair(text) }),
  );
}

/** A value is JSON where it reads as such, else the text itself. */
function parsePair(text: string): Readonly<Record<string, unknown>> {
  const [, key, value] = /^(\w+)=(.*)$/s.exec(text) ?? [];
  if (key === undefined) throw new InvalidArgumentError(`expected key=value, found "${text}".`);
  try {
    return { [key]: JSON.parse(value) as unknown };
  } catch {
    return { [key]: value };
  }
}
