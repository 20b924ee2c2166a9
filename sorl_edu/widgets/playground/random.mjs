// Random numbers from a seed: the same seed gives the same noise in every browser.

/** A generator of uniform numbers in [0, 1): mulberry32, whose state is one 32-bit integer. */
export function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * A generator of standard normal numbers, by Box and Muller's transform:
 *
 *     z1 = r cos(2 pi u2),  z2 = r sin(2 pi u2)  with  r = sqrt(-2 log(1 - u1))
 */
export function normal(seed) {
  const u = uniform(seed);
  let second = null;
  return () => {
    if (second !== null) {
      const z2 = second;
      second = null;
      return z2;
    }
    const r = Math.sqrt(-2 * Math.log(1 - u()));
    const angle = 2 * Math.PI * u();
    second = r * Math.sin(angle);
    return r * Math.cos(angle);
  };
}
