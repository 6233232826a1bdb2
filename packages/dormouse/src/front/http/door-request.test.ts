import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import type { DormouseError } from '../../base/index.ts';
import { DoorRequest } from './door-request.ts';
import { SlowBodies } from './slow-bodies.ts';

const BYTES_MAX = 100;
const BODY_MS = 1000;

function incoming(headers: Record<string, string> = { 'transfer-encoding': 'chunked' }): DoorRequest {
  return Object.assign(new DoorRequest(new Socket()), { headers });
}

/** Begins to collect the body, and records the result. */
function collecting(
  request: DoorRequest,
  slow = new SlowBodies(new ManualClock(), BODY_MS),
  sinceMs = 0,
): { body?: Uint8Array; failure?: DormouseError } {
  const seen: { body?: Uint8Array; failure?: DormouseError } = {};
  request.collect(BYTES_MAX, slow, sinceMs, (body, failure) => {
    if (seen.body !== undefined) throw new Error('told twice');
    seen.body = body;
    if (failure !== undefined) seen.failure = failure;
  });
  return seen;
}

describe('DoorRequest', () => {
  it('a body of one chunk is given as it came, and several chunks are joined', () => {
    const chunk = Buffer.from('hello');
    const one = incoming();
    const seen = collecting(one);
    one.push(chunk);
    expect(seen.body).toBeUndefined();
    one.push(null);
    expect(seen.body).toBe(chunk);
    const two = incoming();
    const joined = collecting(two);
    two.push(Buffer.from('hel'));
    two.push(Buffer.from('lo'));
    two.push(null);
    expect(Buffer.from(joined.body ?? []).toString()).toBe('hello');
    expect(joined.failure).toBeUndefined();
  });

  it('a body of exactly the limit is taken, and a body of one byte more is refused', () => {
    const fits = incoming();
    const body = collecting(fits);
    fits.push(Buffer.alloc(BYTES_MAX));
    fits.push(null);
    expect(body.body?.byteLength).toBe(BYTES_MAX);
    const over = incoming();
    const refused = collecting(over);
    over.push(Buffer.alloc(60));
    over.push(Buffer.alloc(41));
    expect(refused.failure?.code).toBe('body_too_large');
    expect(collecting(incoming({ 'content-length': '101' })).failure?.code).toBe('body_too_large');
  });

  it('a request that declares no body gets an empty body at once', () => {
    expect(collecting(incoming({})).body?.byteLength).toBe(0);
    expect(collecting(incoming({ 'content-length': '0' })).body?.byteLength).toBe(0);
  });

  it('each body fails when its own time is up, counted from its headers', () => {
    const clock = new ManualClock();
    const slow = new SlowBodies(clock, BODY_MS);
    const [early, quick, late] = [incoming(), incoming(), incoming()];
    const first = collecting(early, slow, clock.monotonic());
    const second = collecting(quick, slow, clock.monotonic());
    clock.advance(900);
    early.push(Buffer.from('x'));
    quick.push(null);
    const third = collecting(late, slow, clock.monotonic());
    clock.advance(100);
    expect(first.failure?.code).toBe('body_timeout');
    expect(second.failure).toBeUndefined();
    expect(third.failure).toBeUndefined();
    clock.advance(899);
    expect(third.failure).toBeUndefined();
    clock.advance(1);
    expect(third.failure?.code).toBe('body_timeout');
    expect(slow.isEmpty).toBe(true);
    expect(clock.timers).toBe(0);
  });

  it('a body whose sender went away fails with request_invalid', () => {
    const slow = new SlowBodies(new ManualClock(), BODY_MS);
    const cut = incoming();
    const seen = collecting(cut, slow);
    cut.push(Buffer.from('x'));
    cut.abandon();
    cut.abandon();
    expect(seen.failure?.code).toBe('request_invalid');
    expect(slow.isEmpty).toBe(true);
  });

  it('a request is a plain stream if its body is not collected, and for the rest of a refused body', async () => {
    const refused = incoming();
    collecting(refused);
    refused.push(Buffer.alloc(BYTES_MAX + 1));
    refused.push(Buffer.from('rest'));
    refused.push(null);
    const rest: Buffer[] = [];
    for await (const chunk of refused) rest.push(chunk as Buffer);
    expect(Buffer.concat(rest).toString()).toBe('rest');
  });
});
