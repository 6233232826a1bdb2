import { describe, expect, it } from 'vitest';
import { type CancelKey, CancelKeys } from './cancel-keys.ts';

describe('CancelKeys', () => {
  it('the cancel keys of sessions with the same process id, on different servers, tell the sessions apart', () => {
    const given = [1, 1, 2, 3].map((byte) => Buffer.alloc(4, byte));
    const keys = new CancelKeys<CancelKey>(() => given.shift() ?? Buffer.alloc(4));
    const holder = (processId: number): CancelKey => ({ processId, secretKey: keys.newSecret(processId, 4) });
    const first = holder(7);
    keys.add(first);
    // The random source gives the same bytes again: they are passed over.
    const second = holder(7);
    keys.add(second);
    const elsewhere = holder(8);
    keys.add(elsewhere);
    expect(keys.find(7, Buffer.alloc(4, 1))).toBe(first);
    expect(keys.find(7, Buffer.alloc(4, 2))).toBe(second);
    expect(keys.find(8, Buffer.alloc(4, 3))).toBe(elsewhere);
    expect(keys.find(7, Buffer.alloc(4, 3))).toBeUndefined();
    expect(keys.find(7, Buffer.alloc(32, 1))).toBeUndefined();
    keys.delete(first);
    expect(keys.find(7, Buffer.alloc(4, 1))).toBeUndefined();
    expect(keys.find(7, Buffer.alloc(4, 2))).toBe(second);
  });
});
