import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import type { Profile } from "./profile.js";

/** what a copy was made of, by its digest */
const originals = new WeakMap<Profile, string>();

/**
 * `sha256:…` of a profile's setting, trajectories and change: equal where the measurement is. Without Node's own
 * modules, since a browser page plans too.
 */
export function profileDigest(profile: Profile): string {
  const original = originals.get(profile);
  if (original !== undefined) return original;
  const hash = sha256.create().update(utf8ToBytes(JSON.stringify([profile.setting, profile.trajectories])));
  for (const { id } of profile.blocks) {
    const values = profile.values.change?.[id];
    if (values !== undefined)
      hash.update(utf8ToBytes(id)).update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return `sha256:${bytesToHex(hash.digest())}`;
}

/** A copy that shares nothing with the profile. What is written into it leaves the digest: that of the measurement. */
export function copyProfile(profile: Profile): Profile {
  const copy = structuredClone(profile);
  originals.set(copy, profileDigest(profile));
  return copy;
}
