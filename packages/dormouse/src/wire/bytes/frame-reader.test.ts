import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameReader } from './frame-reader.ts';
import { FrameScanner } from './frame-scanner.ts';
import { ProtocolError } from './protocol-error.ts';

function frame(type: number, payload: Uint8Array): Buffer {
  const out = Buffer.alloc(5 + payload.length);
  out[0] = type;
  out.writeInt32BE(payload.length + 4, 1);
  out.set(payload, 5);
  return out;
}

/** Cuts a stream at the given places, which come in any order and may repeat, so that chunks may be empty. */
function cut(stream: Buffer, places: readonly number[]): Buffer[] {
  const at = [0, ...places.map((place) => place % (stream.length + 1)), stream.length].sort((a, b) => a - b);
  return at.slice(1).map((end, i) => stream.subarray(at[i], end));
}

const frames = fc.array(fc.tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 300 })), {
  maxLength: 20,
});
const places = fc.array(fc.nat(), { maxLength: 30 });

describe('FrameReader', () => {
  it('the reader gives the same frames however the stream is cut', () => {
    fc.assert(
      fc.property(frames, places, (sent, at) => {
        const stream = Buffer.concat(sent.map(([type, payload]) => frame(type, payload)));
        const reader = new FrameReader({ payloadBytesMax: 300 });
        const got: [number, number[]][] = [];
        for (const chunk of cut(stream, at)) {
          reader.push(chunk);
          while (reader.next()) got.push([reader.type, [...reader.payload]]);
        }
        expect(got).toEqual(sent.map(([type, payload]) => [type, [...payload]]));
        expect(reader.bufferedBytes).toBe(0);
      }),
    );
  });

  it('the reader gives the same frames when all chunks are pushed before it reads, and gives back the bytes that are left', () => {
    fc.assert(
      fc.property(frames, places, fc.uint8Array({ maxLength: 4 }), (sent, at, rest) => {
        const stream = Buffer.concat([...sent.map(([type, payload]) => frame(type, payload)), rest]);
        const reader = new FrameReader({ payloadBytesMax: 300 });
        for (const chunk of cut(stream, at)) reader.push(chunk);
        let count = 0;
        while (reader.next()) count += 1;
        expect(count).toBe(sent.length);
        expect([...reader.takeRest()]).toEqual([...rest]);
      }),
    );
  });

  it('the reader skips a frame that is too large without keeping it, and goes on behind it', () => {
    fc.assert(
      fc.property(frames, places, fc.integer({ min: 0, max: 100 }), (sent, at, max) => {
        const stream = Buffer.concat(sent.map(([type, payload]) => frame(type, payload)));
        const reader = new FrameReader({ payloadBytesMax: max, oversize: 'skip' });
        const got: [number, number[] | 'oversize'][] = [];
        for (const chunk of cut(stream, at)) {
          reader.push(chunk);
          while (reader.next()) got.push([reader.type, reader.oversize ? 'oversize' : [...reader.payload]]);
          // The reader holds a header, or a payload within the bound, but never the large payload.
          expect(reader.bufferedBytes).toBeLessThan(5 + max);
        }
        expect(got).toEqual(sent.map(([type, payload]) => [type, payload.length > max ? 'oversize' : [...payload]]));
      }),
    );
  });

  it('the reader keeps the beginning of a frame that is too large, if it is told to', () => {
    fc.assert(
      fc.property(frames, places, fc.integer({ min: 0, max: 100 }), fc.nat(120), (sent, at, max, keptBytes) => {
        const stream = Buffer.concat(sent.map(([type, payload]) => frame(type, payload)));
        const reader = new FrameReader({ payloadBytesMax: max, oversize: 'skip', keptBytes });
        const got: [number, boolean, number[]][] = [];
        for (const chunk of cut(stream, at)) {
          reader.push(chunk);
          while (reader.next()) got.push([reader.type, reader.oversize, [...reader.payload]]);
          expect(reader.bufferedBytes).toBeLessThan(5 + max);
        }
        const kept = Math.min(max, keptBytes);
        expect(got).toEqual(
          sent.map(([type, payload]) => {
            const over = payload.length > max;
            return [type, over, [...(over ? payload.subarray(0, kept) : payload)]];
          }),
        );
      }),
    );
  });

  it('the reader refuses a frame that is too large as soon as its header is there', () => {
    const reader = new FrameReader({ payloadBytesMax: 1000 });
    reader.push(Buffer.from([0x44, 0x7f, 0xff, 0xff, 0xff]));
    expect(() => reader.next()).toThrow(ProtocolError);
  });

  it('the reader throws no error but ProtocolError for random bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), fc.boolean(), (chunks, skips) => {
        const reader = new FrameReader({ payloadBytesMax: 100, oversize: skips ? 'skip' : 'refuse' });
        try {
          for (const chunk of chunks) {
            reader.push(Buffer.from(chunk));
            while (reader.next()) expect(reader.payload.length).toBeLessThanOrEqual(100);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
    );
  });

  it('the reader does not copy a frame that lies whole in one chunk', () => {
    const chunk = Buffer.concat([frame(1, Buffer.from('abc')), frame(2, Buffer.from('de')), Buffer.from([3, 0])]);
    const reader = new FrameReader({ payloadBytesMax: 100 });
    reader.push(chunk);
    while (reader.next()) expect(reader.payload.buffer).toBe(chunk.buffer);
    reader.push(Buffer.concat([Buffer.from([0, 0, 4]), frame(4, Buffer.from('f'))]));
    expect(reader.next()).toBe(true);
    expect(reader.type).toBe(3);
    expect(reader.next()).toBe(true);
    expect(reader.payload.toString()).toBe('f');
  });
});

describe('FrameScanner', () => {
  it('the scanner reports the type, length and first byte of every frame however the stream is cut', () => {
    fc.assert(
      fc.property(frames, places, (sent, at) => {
        const stream = Buffer.concat(sent.map(([type, payload]) => frame(type, payload)));
        const got: [number, number, number][] = [];
        const kept = sent[0]?.[0] ?? 0;
        const scanner = new FrameScanner((type, bytes, first) => got.push([type, bytes, first]), {
          keep: { type: kept, bytes: 10 },
        });
        for (const chunk of cut(stream, at)) expect(scanner.scan(chunk)).toBe(chunk.length);
        expect(got).toEqual(sent.map(([type, payload]) => [type, payload.length, payload[0] ?? -1]));
        expect(scanner.atBoundary).toBe(true);
        const last = sent.findLast(([type]) => type === kept)?.[1] ?? new Uint8Array();
        expect(scanner.kept).toEqual(Buffer.from(last.subarray(0, 10)));
      }),
    );
  });

  it('the scanner stops behind the header of a frame when it is told to, however the stream is cut', () => {
    fc.assert(
      fc.property(frames, places, frames, (sent, at, rest) => {
        const head = Buffer.concat(sent.map(([, payload]) => frame(1, payload)));
        const tail = Buffer.concat(rest.map(([type, payload]) => frame(type, payload)));
        const seen: number[] = [];
        const scanner = new FrameScanner((type) => {
          seen.push(type);
          if (type === 2) scanner.stop();
        });
        let followed = 0;
        for (const chunk of cut(Buffer.concat([head, frame(2, Buffer.alloc(0)), tail]), at)) {
          followed += scanner.scan(chunk);
        }
        expect(followed).toBe(head.length + 5);
        expect(seen).toEqual([...sent.map(() => 1), 2]);
      }),
    );
  });

  it('the scanner throws no error but ProtocolError for random bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), (chunks) => {
        const scanner = new FrameScanner(() => {}, { payloadBytesMax: () => 1000 });
        try {
          for (const chunk of chunks) scanner.scan(chunk);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
    );
  });
});
