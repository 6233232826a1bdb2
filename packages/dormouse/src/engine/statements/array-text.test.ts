import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatArrayText, parseArrayText } from './array-text.ts';

const identity = (text: string): string => text;

describe('the text of an array', () => {
  it('the text of an array is parsed to the value that was formatted, whatever the elements contain', () => {
    const { elements } = fc.letrec<{ elements: (string | null)[] }>(() => ({
      elements: fc.array(fc.option(fc.string({ unit: 'grapheme' }))),
    }));
    fc.assert(
      fc.property(elements, (values) => {
        expect(parseArrayText(formatArrayText(values), identity)).toEqual(values);
      }),
    );
    fc.assert(
      fc.property(fc.array(fc.array(fc.option(fc.string()), { minLength: 1 })), (values) => {
        expect(parseArrayText(formatArrayText(values), identity)).toEqual(values);
      }),
    );
  });

  it.each<[text: string, value: unknown]>([
    ['{}', []],
    ['{a,NULL,"NULL","",b c}', ['a', null, 'NULL', '', 'b c']],
    [
      '{{1,2},{3,NULL}}',
      [
        ['1', '2'],
        ['3', null],
      ],
    ],
    ['[0:1]={a,b}', ['a', 'b']],
    ['[-1:0][2:2]={{a},{b}}', [['a'], ['b']]],
    ['{"a\\"b\\\\c,{}"}', ['a"b\\c,{}']],
  ])('the text %s of an array is parsed', (text, value) => {
    expect(parseArrayText(text, identity)).toEqual(value);
  });

  it('the text of an array is refused if Postgres does not write such a text, and parsing always ends', () => {
    for (const text of ['', '{', '{"', '{a', '{a}}', 'a', '[0:1]', '{{{{{{{1}}}}}}}', '{"a\\']) {
      expect(() => parseArrayText(text, identity), text).toThrow();
    }
    fc.assert(
      fc.property(fc.stringMatching(/^[{}",\\a[\]=:]*$/), (text) => {
        try {
          parseArrayText(text, identity);
        } catch (error) {
          expect((error as Error).message).toMatch(/^array text/);
        }
      }),
    );
  });
});
