import { Option } from "commander";
import { keyValue } from "./keyValue.js";

/** `--scheduler-config use_karras_sigmas=true algorithm_type=sde-dpmsolver++ …`: changes to scheduler_config.json. */
export function schedulerConfigOption(): Option {
  return new Option(
    "--scheduler-config <key=value...>",
    "change the model's scheduler_config.json, by diffusers' keys: use_karras_sigmas=true timestep_spacing=trailing …",
  ).argParser(keyValue);
}
