import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ProtocolError } from '../bytes/protocol-error.ts';
import { decodeReplicationMessage, encodeStandbyStatus, formatLsn, parseLsn } from './replication.ts';

test('an LSN is read and printed as Postgres prints it', () => {
  expect(parseLsn('16/B374D848')).toBe(0x16b374d848n);
  expect(formatLsn(0x16b374d848n)).toBe('16/B374D848');
  for (const text of ['', '16', '16/', 'x/1', '123456789/1', '1/2/3']) expect(parseLsn(text)).toBeUndefined();
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (lsn) => {
      expect(parseLsn(formatLsn(lsn))).toBe(lsn);
    }),
  );
});

test('XLogData and keepalives are read from their bytes', () => {
  const data = Buffer.alloc(28);
  data.write('w');
  data.writeBigUInt64BE(1n, 1);
  data.writeBigUInt64BE(2n, 9);
  data.write('abc', 25);
  expect(decodeReplicationMessage(data)).toEqual({ kind: 'data', walStart: 1n, walEnd: 2n, data: Buffer.from('abc') });
  const keepalive = Buffer.alloc(18);
  keepalive.write('k');
  keepalive.writeBigUInt64BE(7n, 1);
  keepalive[17] = 1;
  expect(decodeReplicationMessage(keepalive)).toEqual({ kind: 'keepalive', walEnd: 7n, replyRequested: true });
});

test('any other replication message is a protocol error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        decodeReplicationMessage(Buffer.from(bytes));
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolError);
      }
    }),
  );
  expect(() => decodeReplicationMessage(Buffer.from('w too short'))).toThrow(ProtocolError);
});

test('a standby status says which position is durable, with the time in the clock of Postgres', () => {
  const bytes = encodeStandbyStatus({ written: 5n, flushed: 4n, replyRequested: true, nowMs: 946_684_800_001 });
  expect(bytes.length).toBe(34);
  expect(String.fromCharCode(bytes[0] as number)).toBe('r');
  expect([bytes.readBigUInt64BE(1), bytes.readBigUInt64BE(9), bytes.readBigUInt64BE(17)]).toEqual([5n, 4n, 4n]);
  expect(bytes.readBigInt64BE(25)).toBe(1000n);
  expect(bytes[33]).toBe(1);
});
