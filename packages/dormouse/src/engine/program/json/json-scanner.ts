import { NeedsRuntime } from '../needs-runtime.ts';
import { SLICE_BYTES, type Slices } from '../pace.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;

/** The offset of the next byte that is not white space. */
export function skipSpace(bytes: Uint8Array, from: number): number {
  let at = from;
  for (;;) {
    const byte = bytes[at];
    if (byte !== SPACE && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return at;
    at++;
  }
}

/** The offset after the string that starts at `from`. Negated if the string contains an escape. */
export function stringEnd(bytes: Uint8Array, from: number, to: number): number {
  let at = from + 1;
  let sign = 1;
  while (at < to) {
    const byte = bytes[at];
    if (byte === QUOTE) return sign * (at + 1);
    if (byte === BACKSLASH) {
      sign = -1;
      at++;
    }
    at++;
  }
  throw new NeedsRuntime();
}

/**
 * The offset after the value that starts at `from`. Negated if the value is a string that contains an escape. The text
 * is known to be valid JSON, because Postgres wrote it.
 */
export function valueEnd(bytes: Uint8Array, from: number, to: number): number {
  const first = bytes[from];
  if (first === QUOTE) return stringEnd(bytes, from, to);
  let at = from;
  if (first === 0x7b || first === 0x5b) {
    let depth = 0;
    while (at < to) {
      const byte = bytes[at];
      if (byte === QUOTE) {
        at = Math.abs(stringEnd(bytes, at, to));
        continue;
      }
      at++;
      if (byte === 0x7b || byte === 0x5b) depth++;
      else if ((byte === 0x7d || byte === 0x5d) && --depth === 0) return at;
    }
    throw new NeedsRuntime();
  }
  while (at < to) {
    const byte = bytes[at] as number;
    if (byte === 0x2c || byte === 0x7d || byte === 0x5d || byte <= SPACE) break;
    at++;
  }
  return at;
}

/**
 * The ends of objects and lists longer than this are found in one pass over the text and remembered. Without that,
 * each level of nesting would search the text below it once more.
 */
export const LONG_BYTES: number = 16 * 1024;
/** Nesting levels at which ends are remembered. A plan has fewer levels. */
const DEPTH_MAX = 512;

/** For each long object or list, the offset after it, by the offset at which it starts. */
export type LongValues = ReadonlyMap<number, number>;

/** Finds the long objects and lists of a JSON text in one pass, in slices. */
export function* longValues(bytes: Uint8Array, from: number, to: number): Slices<LongValues> {
  const ends = new Map<number, number>();
  const open: number[] = [];
  let depth = 0;
  let sliceEnd = from + SLICE_BYTES;
  let at = from;
  while (at < to) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at = Math.abs(stringEnd(bytes, at, to));
    } else {
      if (byte === 0x7b || byte === 0x5b) {
        if (depth < DEPTH_MAX) open[depth] = at;
        depth++;
      } else if (byte === 0x7d || byte === 0x5d) {
        depth--;
        const start = open[depth];
        if (depth < DEPTH_MAX && start !== undefined && at - start >= LONG_BYTES) ends.set(start, at + 1);
      }
      at++;
    }
    if (at > sliceEnd) {
      yield;
      sliceEnd = at + SLICE_BYTES;
    }
  }
  return ends;
}

/**
 * Whether a JSON string with escapes (quotes included) has the form that `JSON.stringify` gives it: it contains only
 * short escapes.
 */
export function isPlainString(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from + 1; at < to - 1; at++) {
    if (bytes[at] !== BACKSLASH) continue;
    const next = bytes[++at];
    // JSON.stringify may write a \u escape in a shorter form, and writes \/ as a plain slash.
    if (next === 0x75 || next === 0x2f) return false;
  }
  return true;
}
