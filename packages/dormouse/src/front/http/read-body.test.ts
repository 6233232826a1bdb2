import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { readBody } from './read-body.ts';

const LIMITS = { bodyBytesMax: 100, bodyMs: 1000 };

function incoming(headers: Record<string, string> = { 'transfer-encoding': 'chunked' }): PassThrough & IncomingMessage {
  return Object.assign(new PassThrough(), { headers }) as unknown as PassThrough & IncomingMessage;
}

describe('readBody', () => {
  it('gives one chunk as it came, several as one', async () => {
    const clock = new ManualClock();
    const chunk = Buffer.from('hello');
    const one = incoming();
    const body = readBody(one, clock, LIMITS);
    one.end(chunk);
    expect(await body).toBe(chunk);
    const two = incoming();
    const joined = readBody(two, clock, LIMITS);
    two.write('hel');
    two.end('lo');
    expect(Buffer.from(await joined).toString()).toBe('hello');
    expect(clock.timers).toBe(0);
  });

  it('takes exactly the limit, not a byte more', async () => {
    const clock = new ManualClock();
    const fits = incoming();
    const body = readBody(fits, clock, LIMITS);
    fits.end(Buffer.alloc(100));
    expect((await body).byteLength).toBe(100);
    const over = incoming();
    const refused = readBody(over, clock, LIMITS);
    over.write(Buffer.alloc(60));
    over.write(Buffer.alloc(41));
    await expect(refused).rejects.toMatchObject({ code: 'body_too_large' });
    await expect(readBody(incoming({ 'content-length': '101' }), clock, LIMITS)).rejects.toMatchObject({
      code: 'body_too_large',
    });
    expect(clock.timers).toBe(0);
  });

  it('waits for no body where none is declared', async () => {
    expect((await readBody(incoming({}), new ManualClock(), LIMITS)).byteLength).toBe(0);
    expect((await readBody(incoming({ 'content-length': '0' }), new ManualClock(), LIMITS)).byteLength).toBe(0);
  });

  it('ends when the time is up, counted from the headers', async () => {
    const clock = new ManualClock();
    const slow = incoming();
    const body = readBody(slow, clock, LIMITS);
    clock.advance(900);
    slow.write('x');
    clock.advance(100);
    await expect(body).rejects.toMatchObject({ code: 'body_timeout' });
  });

  it('says that the sender went away', async () => {
    const cut = incoming();
    const body = readBody(cut, new ManualClock(), LIMITS);
    cut.write('x');
    cut.destroy(new Error('ECONNRESET'));
    await expect(body).rejects.toMatchObject({ code: 'request_invalid' });
  });
});
