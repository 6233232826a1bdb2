import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonWriter } from './json-writer.ts';

const anyText = fc.string({ unit: 'binary', maxLength: 200 }).map((text) => text.toWellFormed());

describe('JsonWriter', () => {
  it('a JSON writer writes strings as JSON.stringify does', () => {
    const out = new JsonWriter();
    fc.assert(
      fc.property(anyText, (text) => {
        const bytes = Buffer.from(`<${text}>`);
        out.string(bytes, 1, bytes.length - 1);
        expect(Buffer.from(out.take()).toString()).toBe(JSON.stringify(text));
      }),
    );
    const controls = Array.from({ length: 0x100 }, (_, code) => String.fromCharCode(code)).join('');
    out.string(Buffer.from(controls), 0, Buffer.byteLength(controls));
    expect(Buffer.from(out.take()).toString()).toBe(JSON.stringify(controls));
  });

  it('a JSON writer grows as needed, and is empty after a take', () => {
    const out = new JsonWriter();
    const piece = Buffer.from('é'.repeat(1000));
    const parts = Array.from({ length: 1000 }, () => {
      out.raw(piece);
      return piece;
    });
    expect(Buffer.concat(parts).equals(Buffer.from(out.take()))).toBe(true);
    expect(out.length).toBe(0);
    out.text('ü"');
    out.byte(0x21);
    expect(out.length).toBe(4);
    expect(Buffer.from(out.take()).toString()).toBe('ü"!');
  });

  it('a JSON writer that is reset to a length discards everything after that length', () => {
    const out = new JsonWriter();
    out.text('abc');
    out.reset(1);
    out.text('d');
    expect(out.take()).toBe('ad');
  });

  it('a JSON writer gives a text that later writes do not change', () => {
    const out = new JsonWriter();
    out.text('première');
    const first = out.take();
    out.text('deuxième');
    out.take();
    expect(Buffer.from(first).toString()).toBe('première');
  });
});
