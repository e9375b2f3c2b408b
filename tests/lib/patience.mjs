// SPDX-License-Identifier: MIT
// What tests share about time and chance. A wait ends on what it waits for; how long it may take at most is
// generous, and longer on a machine that tests/run found slow. What is random comes from a seed.

/** How much slower than a quiet machine this one is; tests/run measures it. */
export const SLOW = Math.max(1, Number(process.env.KARTA_TEST_SLOW ?? 1) || 1);
/** The outer limit of every wait: sanitizers and other work on the machine make everything slower. */
export const PATIENCE_MS = Math.round(90000 * SLOW);
/** For a setting of the server in seconds: n on a quiet machine. */
export const slowed = (n) => Math.ceil(n * SLOW);
/** Options of a test that takes n seconds on a quiet machine: it hangs when it takes so much longer. */
export const seconds = (n) => ({ timeout: (n * 5 + 120) * 1000 * SLOW });
/** `make check-long` sets it: what only repeats is done as often as it takes. */
export const LONG = process.env.KARTA_TEST_LONG === '1';

export const sleep = (ms) => new Promise((r) => setTimeout(r, ms));

/** Wait until fn gives something; it is asked often at first, then twenty times a second. */
export async function eventually(fn, what) {
  const end = Date.now() + PATIENCE_MS;
  for (let pause = 2; ; pause = Math.min(pause * 2, 50)) {
    const v = await fn();
    if (v) return v;
    if (Date.now() > end) throw new Error(`waited in vain: ${typeof what === 'function' ? what() : what}`);
    await sleep(pause);
  }
}

/** What a promise gives; an error that names it when that never comes. */
export async function within(promise, what) {
  let timer;
  const late = new Promise((_, fail) => { timer = setTimeout(() => fail(new Error(`waited in vain: ${what}`)), PATIENCE_MS); });
  try { return await Promise.race([promise, late]); } finally { clearTimeout(timer); }
}

/** A file that does not exist yet, and open(): `[[until:FILE]]` holds the turn of a fake agent until then. */
export function gate(dir, write) {
  const file = `${dir}/gate-${gates++}`;
  return { file, open: () => write(file, '') };
}
let gates = 0;

export const SEED = Number(process.env.KARTA_TEST_SEED || Math.floor(Math.random() * 2 ** 31));

/** A source of numbers, the same ones with the same seed and name: random(n) is from 0 to n - 1. */
export function chance(name) {
  let state = [...`${SEED} ${name}`].reduce((h, c) => Math.imul(h ^ c.charCodeAt(0), 16777619), 2166136261) >>> 0;
  console.log(`# KARTA_TEST_SEED=${SEED}`);
  return (n) => { // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return Math.floor((((z ^ (z >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}
