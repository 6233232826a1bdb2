import fc from 'fast-check';
import { assert, expect, test } from 'vitest';
import { BEYOND, decodePgoutput } from './pgoutput.ts';
import { ProtocolError } from './protocol-error.ts';

/** Builds a message of letters, zero-ended strings and big-endian integers: `[bytes, value]`. */
function bytesOf(...parts: (string | readonly [1 | 2 | 4 | 8, number | bigint])[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === 'string') return Buffer.from(part);
      const [size, value] = part;
      const out = Buffer.alloc(size);
      if (size === 8) out.writeBigUInt64BE(BigInt(value));
      else out.writeUIntBE(Number(value), 0, size);
      return out;
    }),
  );
}
const text = (value: string) => ['t', [4, Buffer.byteLength(value)], value] as const;
const flat = (...parts: (string | readonly unknown[])[]): Buffer => {
  const out: (string | readonly [1 | 2 | 4 | 8, number | bigint])[] = [];
  for (const part of parts) {
    if (typeof part === 'string' || typeof part[0] === 'number') out.push(part as string);
    else out.push(...(part as (string | readonly [1 | 2 | 4 | 8, number | bigint])[]));
  }
  return bytesOf(...out);
};

const INSERT = flat('I', [4, 9], 'N', [2, 3], text('é1'), 'n', 'u');

test('of a change that was cut the values that are whole are there, and the others are beyond', () => {
  const update = flat('U', [4, 9], 'O', [2, 2], text('1'), text('old'), 'N', [2, 2], text('1'), text('new'));
  const whole = decodePgoutput(update);
  for (let at = 6; at < update.length; at++) {
    const message = decodePgoutput(update.subarray(0, at), true);
    assert(message.kind === 'update' && whole.kind === 'update');
    expect(message.relationOid).toBe(9);
    for (const side of ['before', 'after'] as const) {
      const values = message[side] ?? [];
      expect(values.length === 0 || values.length === 2).toBe(true);
      values.forEach((value, i) => {
        if (value !== BEYOND) expect(value).toBe(whole[side]?.[i]);
      });
    }
  }
  const cut = decodePgoutput(update.subarray(0, update.length - 1), true);
  expect(cut).toMatchObject({ before: ['1', 'old'], after: ['1', BEYOND] });
});

test('begin and commit', () => {
  expect(decodePgoutput(bytesOf('B', [8, 100n], [8, 1_000_000n], [4, 7]))).toEqual({
    kind: 'begin',
    commitLsn: 100n,
    committedAtMs: 946_684_801_000,
    xid: 7,
  });
  expect(decodePgoutput(bytesOf('C', [1, 0], [8, 100n], [8, 148n], [8, 0n]))).toMatchObject({
    kind: 'commit',
    commitLsn: 100n,
    endLsn: 148n,
  });
});

test('a relation', () => {
  const bytes = bytesOf(
    'R',
    [4, 9],
    'public\0users\0d',
    [2, 2],
    [1, 1],
    'id\0',
    [4, 23],
    [4, 0xffffffff],
    [1, 0],
    'x\0',
    [4, 25],
    [4, 5],
  );
  expect(decodePgoutput(bytes)).toEqual({
    kind: 'relation',
    oid: 9,
    schema: 'public',
    name: 'users',
    identity: 'd',
    columns: [
      { name: 'id', typeOid: 23, typeModifier: -1, key: true },
      { name: 'x', typeOid: 25, typeModifier: 5, key: false },
    ],
  });
});

test('changes: text, NULL and unchanged stay apart, old keys and old rows as well', () => {
  expect(decodePgoutput(INSERT)).toEqual({ kind: 'insert', relationOid: 9, after: ['é1', null, undefined] });
  expect(decodePgoutput(flat('U', [4, 9], 'N', [2, 1], text('a')))).toEqual({
    kind: 'update',
    relationOid: 9,
    beforeKind: undefined,
    before: undefined,
    after: ['a'],
  });
  expect(decodePgoutput(flat('U', [4, 9], 'K', [2, 1], text('k'), 'N', [2, 1], text('a')))).toMatchObject({
    beforeKind: 'key',
    before: ['k'],
    after: ['a'],
  });
  expect(decodePgoutput(flat('D', [4, 9], 'O', [2, 1], text('o')))).toEqual({
    kind: 'delete',
    relationOid: 9,
    beforeKind: 'row',
    before: ['o'],
  });
});

test('truncations name all their tables; types have names; what is of no use is passed over', () => {
  expect(decodePgoutput(bytesOf('T', [4, 2], [1, 3], [4, 5], [4, 6]))).toEqual({
    kind: 'truncate',
    relationOids: [5, 6],
  });
  expect(decodePgoutput(bytesOf('Y', [4, 20_000], 'public\0_mood\0'))).toEqual({
    kind: 'type',
    oid: 20_000,
    schema: 'public',
    name: '_mood',
  });
  expect(decodePgoutput(bytesOf('M', 'anything'))).toEqual({ kind: 'other', type: 'M' });
});

test('what is cut, longer or noise is a protocol error and nothing else', () => {
  for (let length = 0; length < INSERT.length; length++) {
    expect(() => decodePgoutput(INSERT.subarray(0, length))).toThrow(ProtocolError);
  }
  expect(() => decodePgoutput(Buffer.concat([INSERT, Buffer.alloc(1)]))).toThrow(ProtocolError);
  fc.assert(
    fc.property(fc.constantFrom(...'BCRIUDTYOMX'), fc.uint8Array({ maxLength: 200 }), (type, noise) => {
      try {
        decodePgoutput(Buffer.concat([Buffer.from(type), noise]));
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolError);
      }
    }),
    { numRuns: 2000 },
  );
});
