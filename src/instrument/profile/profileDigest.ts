import { createHash } from "node:crypto";
import type { Profile } from "./profile.js";

const known = new WeakMap<Profile, string>();

/** `sha256:…` of a profile's setting, trajectories and change: equal where the measurement is. Taken once a profile. */
export function profileDigest(profile: Profile): string {
  const before = known.get(profile);
  if (before !== undefined) return before;
  const hash = createHash("sha256").update(JSON.stringify([profile.setting, profile.trajectories]));
  for (const { id } of profile.blocks) {
    const values = profile.values.change?.[id];
    if (values !== undefined)
      hash.update(id).update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  const digest = `sha256:${hash.digest("hex")}`;
  known.set(profile, digest);
  return digest;
}
