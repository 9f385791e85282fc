import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import type { Profile } from "./profile.js";

/** copy → digest of the profile that it was made from */
const originals = new WeakMap<Profile, string>();

/**
 * `sha256:…` of a profile's setting, trajectories and change: equal for equal measurements. It uses no module of
 * Node's, since a browser page plans too.
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

/**
 * A copy that shares nothing with the profile. Its digest stays that of the measurement, whatever is written into the
 * copy.
 */
export function copyProfile(profile: Profile): Profile {
  const copy = structuredClone(profile);
  originals.set(copy, profileDigest(profile));
  return copy;
}
