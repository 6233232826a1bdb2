import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bodyText, DEPTH_MAX, parseBody } from './request-body.ts';

const invalid = expect.objectContaining({ code: 'request_invalid' });

describe('a request body', () => {
  it('a request body must be one JSON object', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const text = JSON.stringify(value);
        expect(parseBody(bodyText(Buffer.from(text)))).toEqual(JSON.parse(text));
      }),
    );
    for (const text of ['', '[]', 'null', '1', '"x"', '{', '{}}', '\ufeff{}']) {
      expect(() => parseBody(text), text).toThrow(invalid);
    }
  });

  it('a request body must be UTF-8', () => {
    expect(bodyText(Buffer.from('ü🙂'))).toBe('ü🙂');
    expect(() => bodyText(Uint8Array.from([0x7b, 0xff, 0x7d]))).toThrow(invalid);
  });

  it('a request body that nests too deep is refused', () => {
    const nested = (depth: number): string => `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    parseBody(nested(DEPTH_MAX - 1));
    expect(() => parseBody(nested(DEPTH_MAX))).toThrow(invalid);
    expect(() => parseBody(nested(1_000_000))).toThrow(invalid);
    // Brackets in strings do not nest.
    parseBody(JSON.stringify({ a: '[{"\\'.repeat(10_000) }));
  });
});
