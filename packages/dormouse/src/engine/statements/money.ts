import { quoted, unreadable } from './unreadable-text.ts';

/** Digits and what separates them, with whatever stands around: a currency, signs, spaces. */
const AMOUNT = /^([^0-9]*)([0-9](?:.*[0-9])?)([^0-9]*)$/su;
const NEGATIVE = /[-\u2212(]/u;
const SEPARATORS = /[^0-9]+/gu;

/**
 * `money` as the bare number that Prisma wants. lc_monetary decides on signs and separators and is not reported: of a
 * text whose last separator may stand before thousands or before the smallest unit, the number is not known.
 */
export function moneyFromPostgres(text: string): string {
  const [, before = '', digits = '', behind = ''] = AMOUNT.exec(text) ?? [];
  const separators = digits.match(SEPARATORS) ?? [];
  const last = separators.at(-1);
  const sign = NEGATIVE.test(before + behind) ? '-' : '';
  if (digits === '') throw strange(text);
  if (last === undefined) return sign + digits;
  const at = digits.lastIndexOf(last);
  const part = digits.slice(at + last.length);
  const others = separators.slice(0, -1);
  // Thousands are three digits; two separators that are not alike are thousands, then a part of the unit.
  const isPart = part.length !== 3 || (others.length > 0 && others.every((each) => each !== last));
  if (isPart && !others.includes(last)) return `${sign}${digits.slice(0, at).replace(SEPARATORS, '')}.${part}`;
  if (!isPart && others.length > 0) return sign + digits.replace(SEPARATORS, '');
  throw strange(text);
}

function strange(text: string): Error {
  return unreadable(`the money ${quoted(text)} may be two numbers. Leave lc_monetary at C`);
}
