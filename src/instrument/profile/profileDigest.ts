import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import type { Profile } from "./profile.js";

const known = new WeakMap<Profile, string>();

/**
 * `sha256:…` of a profile's setting, trajectories and change: equal where the measurement is. Taken once a profile,
 * and without Node's own modules, since a browser page plans too.
 */
export function profileDigest(profile: Profile): string {
  const before = known.get(profile);
  if (before !== undefined) return before;
  const hash = sha256.create().update(utf8ToBytes(JSON.stringify([profile.setting, profile.trajectories])));
  for (const { id } of profile.blocks) {
    const values = profile.values.change?.[id];
    if (values !== undefined)
      hash.update(utf8ToBytes(id)).update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  const digest = `sha256:${bytesToHex(hash.digest())}`;
  known.set(profile, digest);
  return digest;
}
