import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as wire from './index.ts';

const text = fc.string({ unit: 'binary', maxLength: 80 }).map((value) => value.replaceAll('\0', ''));
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

/** Writes messages and reads them back as frames. */
function framesOf(write: (writer: wire.ByteWriter) => void): { type: number; payload: Buffer }[] {
  const writer = new wire.ByteWriter();
  write(writer);
  const reader = new wire.FrameReader({ payloadBytesMax: 1 << 24 });
  reader.push(writer.take());
  const out: { type: number; payload: Buffer }[] = [];
  while (reader.next()) out.push({ type: reader.type, payload: reader.payload });
  expect(reader.bufferedBytes).toBe(0);
  return out;
}

function payloadOf(write: (writer: wire.ByteWriter) => void): Buffer {
  const [frame, ...more] = framesOf(write);
  expect(more).toEqual([]);
  return frame?.payload as Buffer;
}

describe('messages of the protocol', () => {
  it('an error comes back from its bytes with every field, known or not', () => {
    const names = Object.keys(wire.ERROR_FIELD_BYTES) as (keyof typeof wire.ERROR_FIELD_BYTES)[];
    const known = fc.dictionary(fc.constantFrom(...names), text);
    const used = new Set(Object.values(wire.ERROR_FIELD_BYTES));
    const byte = fc.constantFrom(...'abefghijklmouvwxyzABEGIJKNOTUXYZ'.split('').filter((each) => !used.has(each)));
    const unknown = fc.option(fc.dictionary(byte, text, { minKeys: 1 }), { nil: undefined });
    fc.assert(
      fc.property(known, unknown, (fields, others) => {
        const sent: wire.PostgresErrorFields =
          others === undefined ? { ...fields } : { ...fields, unknown: { ...others } };
        expect(wire.decodeErrorFields(payloadOf((w) => wire.encodeErrorResponse(w, sent)))).toEqual(sent);
        expect(wire.decodeErrorFields(payloadOf((w) => wire.encodeNoticeResponse(w, sent)))).toEqual(sent);
      }),
    );
  });

  it('parameters, keys, status, negotiation and SASL messages come back from their bytes unchanged', () => {
    fc.assert(
      fc.property(text, text, int32, fc.uint8Array({ minLength: 4, maxLength: 256 }), (name, value, number, bytes) => {
        expect(wire.decodeParameterStatus(payloadOf((w) => wire.encodeParameterStatus(w, name, value)))).toEqual({
          name,
          value,
        });
        expect(wire.decodeBackendKeyData(payloadOf((w) => wire.encodeBackendKeyData(w, number, bytes)))).toEqual({
          processId: number,
          secretKey: Buffer.from(bytes),
        });
        expect(
          wire.decodeNegotiateProtocolVersion(
            payloadOf((w) => wire.encodeNegotiateProtocolVersion(w, number, [name, value])),
          ),
        ).toEqual({ version: number, unknownOptions: [name, value] });
        expect(wire.decodeQuery(payloadOf((w) => wire.encodeQuery(w, value)))).toBe(value);
        expect(wire.decodePassword(payloadOf((w) => wire.encodePassword(w, value)))).toBe(value);
        expect(
          wire.decodeSaslInitialResponse(payloadOf((w) => wire.encodeSaslInitialResponse(w, name, value))),
        ).toEqual({ mechanism: name, response: value });
        expect(wire.decodeSaslResponse(payloadOf((w) => wire.encodeSaslResponse(w, value)))).toBe(value);
      }),
    );
    for (const status of ['I', 'T', 'E'] as const) {
      expect(wire.decodeReadyForQuery(payloadOf((w) => wire.encodeReadyForQuery(w, status)))).toBe(status);
    }
    const sasl = wire.decodeAuthentication(payloadOf((w) => wire.encodeAuthenticationSasl(w, ['A', 'B'])));
    expect(sasl.kind).toBe(wire.Authentication.Sasl);
    expect(wire.decodeSaslMechanisms(sasl.data)).toEqual(['A', 'B']);
  });

  it('startup, cancel and encryption requests come back from their bytes unchanged', () => {
    const parameters = fc.uniqueArray(
      fc.tuple(
        text.filter((name) => name !== ''),
        text,
      ),
      {
        selector: ([name]) => name,
        maxLength: 10,
      },
    );
    fc.assert(
      fc.property(parameters, int32, fc.uint8Array({ minLength: 4, maxLength: 256 }), (pairs, number, key) => {
        const writer = new wire.ByteWriter();
        wire.encodeStartup(writer, wire.PROTOCOL_3_2, pairs);
        const startup = writer.take();
        if (startup.length <= wire.STARTUP_BYTES_MAX) expect(wire.startupLength(startup)).toBe(startup.length);
        expect(wire.decodeStartup(startup)).toEqual({
          kind: 'startup',
          version: wire.PROTOCOL_3_2,
          parameters: new Map(pairs),
        });
        wire.encodeCancelRequest(writer, number, key);
        expect(wire.decodeStartup(writer.take())).toEqual({
          kind: 'cancel',
          processId: number,
          secretKey: Buffer.from(key),
        });
      }),
    );
    const writer = new wire.ByteWriter();
    wire.encodeSslRequest(writer);
    expect(wire.decodeStartup(writer.take())).toEqual({ kind: 'ssl' });
    wire.encodeGssencRequest(writer);
    expect(wire.decodeStartup(writer.take())).toEqual({ kind: 'gssenc' });
  });

  it('random bytes make the decoders throw no error but ProtocolError', () => {
    const decoders = Object.entries(wire).filter(([name]) => name.startsWith('decode')) as [
      string,
      (bytes: Buffer, ...more: never[]) => unknown,
    ][];
    expect(decoders.length).toBeGreaterThan(15);
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      // Nearly right messages: short counts and lengths, zeros as terminators.
      fc.array(fc.constantFrom(0, 0, 1, 2, 3, 65, 127, 255), { maxLength: 60 }).map((list) => Uint8Array.from(list)),
    );
    fc.assert(
      fc.property(bytes, (random) => {
        for (const [name, decode] of decoders) {
          try {
            decode(Buffer.from(random));
          } catch (error) {
            expect(error, name).toBeInstanceOf(wire.ProtocolError);
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('a message whose length is too large is refused before it is read', () => {
    expect(() => wire.startupLength(Buffer.from([0x7f, 0xff, 0xff, 0xff]))).toThrow(wire.ProtocolError);
    expect(() => wire.startupLength(Buffer.from([0, 0, 0, 7]))).toThrow(wire.ProtocolError);
    expect(wire.startupLength(Buffer.from([0, 0, 0]))).toBeUndefined();
    const hugeCount = Buffer.from([0, 3, 0, 2, 0x7f, 0xff, 0xff, 0xff]);
    expect(() => wire.decodeNegotiateProtocolVersion(hugeCount)).toThrow(wire.ProtocolError);
    expect(() => wire.decodeDataRow(Buffer.from([0, 1, 0x7f, 0xff, 0xff, 0xff, 1]))).toThrow(wire.ProtocolError);
    expect(() => wire.decodeDataRow(Buffer.from([0, 1, 0xff, 0xff, 0xff, 0xfe]))).toThrow(wire.ProtocolError);
  });

  it('a Bind message carries text, bytes and NULL', () => {
    const [bind] = framesOf((w) => wire.encodeBind(w, 'p', 's', ['é', null, Buffer.from([1, 2])]));
    const reader = new wire.ByteReader(bind?.payload as Buffer);
    expect([reader.cstring(), reader.cstring(), reader.int16()]).toEqual(['p', 's', 3]);
    expect([reader.int16(), reader.int16(), reader.int16(), reader.int16()]).toEqual([0, 0, 1, 3]);
    expect(reader.bytes(reader.int32()).toString()).toBe('é');
    expect(reader.int32()).toBe(-1);
    expect([...reader.bytes(reader.int32())]).toEqual([1, 2]);
    expect(reader.int16()).toBe(0);
    reader.end();
  });

  it('a string that the protocol cannot carry is refused', () => {
    const writer = new wire.ByteWriter();
    expect(() => wire.encodeQuery(writer, 'a\0b')).toThrow(RangeError);
    expect(() => wire.encodeBind(writer, '', '', new Array(65_536).fill(null))).toThrow(RangeError);
  });

  it('the number of rows is read from the command tag', () => {
    const tags = {
      'INSERT 0 12': 12,
      'SELECT 0': 0,
      'UPDATE 10000000000': 1e10,
      BEGIN: 0,
      'CREATE TABLE': 0,
      '': 0,
      '7': 0,
    };
    for (const [tag, rows] of Object.entries(tags)) expect(wire.affectedRowsOf(tag), tag).toBe(rows);
  });
});

describe('ByteWriter', () => {
  it('bytes that were taken from the writer are never written again', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 5_000 }), { maxLength: 20 }), (messages) => {
        const writer = new wire.ByteWriter();
        const taken = messages.map((message) => {
          writer.open(1);
          writer.bytes(message);
          writer.close();
          return writer.take();
        });
        taken.forEach((bytes, i) => {
          expect(bytes.readInt32BE(1)).toBe((messages[i] as Uint8Array).length + 4);
          expect(bytes.subarray(5).equals(messages[i] as Uint8Array)).toBe(true);
        });
      }),
    );
  });
});
