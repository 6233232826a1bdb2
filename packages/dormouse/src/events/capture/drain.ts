import type { Clock } from '../../base/index.ts';
import type { Lsn } from '../../wire/index.ts';
import type { ChangeStream } from './change-stream.ts';
import type { Conditions } from './conditions.ts';
import type { Watermarks } from './watermarks.ts';

/** While draining, how often the server is asked how far it is: at first, and when draining takes longer. */
const PING_MS = 20;
const SLOW_PING_MS = 200;
const SLOW_AFTER_MS = 1000;
/**
 * Draining is given up when nothing has come for this long: the server may take some seconds to read a large
 * transaction from its WAL and to print a large row, and tells meanwhile how far it is.
 */
const SILENCE_MS = 30_000;
/** Draining is also given up when this many streams in a row have stored nothing: the next one would do so, too. */
const BARREN_STREAMS_MAX = 7;
/** A record may end a page header (24 bytes, 40 at the start of a segment) before the position of the next one. */
const WAL_PAGE_BYTES = 8192n;
const PAGE_HEADER_BYTES_MAX = 40n;

export interface Drain {
  /** How far the WAL went when the drain began. */
  readonly targetLsn: Lsn;
  readonly beganMs: number;
  readonly ms: number;
  readonly signal: AbortSignal | undefined;
  readonly marks: Watermarks;
  readonly conditions: Conditions;
  readonly clock: Clock;
  /** The stream that there is now: another one may take its place meanwhile. */
  readonly stream: () => Pick<ChangeStream, 'live' | 'idle' | 'acknowledge' | 'storeIdle'> | undefined;
  /** Capture has been stopped. */
  readonly stopped: () => boolean;
}

/**
 * Waits until everything up to the target is in the log; gives whether it is. Gives up when `ms` are over, the signal
 * fires, capture is stopped, or capture does not advance any more.
 */
export async function drain(order: Drain): Promise<boolean> {
  const { beganMs, ms, signal, marks, conditions, clock, stopped } = order;
  const inPage = order.targetLsn % WAL_PAGE_BYTES;
  const target = inPage <= PAGE_HEADER_BYTES_MAX ? order.targetLsn - inPage : order.targetLsn;
  const reached = (): boolean => {
    const stream = order.stream();
    return stream?.live === true && stream.idle && (marks.serverLsn >= target || marks.storedLsn >= target);
  };
  const barren = marks.barrenStreams;
  let { steps } = marks;
  let steppedMs = beganMs;
  while (!stopped() && !reached() && signal?.aborted !== true) {
    const nowMs = clock.monotonic();
    if (marks.steps !== steps) [steps, steppedMs] = [marks.steps, nowMs];
    if (nowMs - beganMs >= ms || nowMs - steppedMs >= SILENCE_MS) break;
    if (marks.barrenStreams - barren >= BARREN_STREAMS_MAX) break;
    const stream = order.stream();
    if (stream?.live === true) stream.acknowledge(true);
    const pingMs = nowMs - beganMs < SLOW_AFTER_MS ? PING_MS : SLOW_PING_MS;
    await conditions.until(() => reached() || signal?.aborted === true, pingMs);
  }
  if (!reached()) return false;
  // The server may be frozen for long: what is stored is acknowledged, so that the server lets its WAL go.
  await order.stream()?.storeIdle(true);
  return true;
}
