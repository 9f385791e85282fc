import { createHash } from "node:crypto";
import type { Profile } from "./profile.js";

/** what a copy was made of, by its digest */
const originals = new WeakMap<Profile, string>();

/** `sha256:…` of a profile's setting, trajectories and change: equal where the measurement is. */
export function profileDigest(profile: Profile): string {
  const original = originals.get(profile);
  if (original !== undefined) return original;
  const hash = createHash("sha256").update(JSON.stringify([profile.setting, profile.trajectories]));
  for (const { id } of profile.blocks) {
    const values = profile.values.change?.[id];
    if (values !== undefined)
      hash.update(id).update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return `sha256:${hash.digest("hex")}`;
}

/** A copy that shares nothing with the profile. What is written into it leaves the digest: that of the measurement. */
export function copyProfile(profile: Profile): Profile {
  const copy = structuredClone(profile);
  originals.set(copy, profileDigest(profile));
  return copy;
}
