/** Words of state, and the distance of the twist, of MT19937 (Matsumoto & Nishimura 1998). */
const STATE_SIZE = 624;
const SHIFT_SIZE = 397;

/**
 * MT19937 as PyTorch's CPU generator runs it: the state is initialised from the
 * low 32 bits of the seed (ATen/core/MT19937RNGEngine.h).
 */
export class MersenneTwister {
  private readonly state = new Uint32Array(STATE_SIZE);
  private next = STATE_SIZE;

  /** @param seed the low 32 bits of the seed, an unsigned integer */
  constructor(seed: number) {
    const state = this.state;
    state[0] = seed;
    for (let i = 1; i < STATE_SIZE; i += 1) {
      const previous = state[i - 1] ^ (state[i - 1] >>> 30);
      state[i] = Math.imul(1812433253, previous) + i;
    }
  }

  /** The next 32 random bits, as an unsigned integer. */
  uint32(): number {
    if (this.next === STATE_SIZE) this.twist();
    let word = this.state[this.next];
    this.next += 1;
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    word ^= word >>> 18;
    return word >>> 0;
  }

  private twist(): void {
    const state = this.state;
    for (let i = 0; i < STATE_SIZE; i += 1) {
      const mixed = (state[i] & 0x80000000) | (state[(i + 1) % STATE_SIZE] & 0x7fffffff);
      const magic = (mixed & 1) === 0 ? 0 : 0x9908b0df;
      state[i] = state[(i + SHIFT_SIZE) % STATE_SIZE] ^ (mixed >>> 1) ^ magic;
    }
    this.next = 0;
  }
}
