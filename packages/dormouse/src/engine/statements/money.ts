import { quoted, unreadable } from './unreadable-text.ts';

/** Digits and their separators, and the text before and after them: a currency, signs, spaces. */
const AMOUNT = /^([^0-9]*)([0-9](?:.*[0-9])?)([^0-9]*)$/su;
const NEGATIVE = /[-\u2212(]/u;
const SEPARATORS = /[^0-9]+/gu;

/**
 * Converts `money` to a plain number, which Prisma expects. The setting lc_monetary determines signs and separators,
 * and Postgres does not report it to clients. Throws P2023 if the last separator may stand before thousands or before
 * the fraction, because the text then has two readings.
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
  // A group of thousands has three digits. If the last separator differs from those before it, a fraction follows it.
  const isPart = part.length !== 3 || (others.length > 0 && others.every((each) => each !== last));
  if (isPart && !others.includes(last)) return `${sign}${digits.slice(0, at).replace(SEPARATORS, '')}.${part}`;
  if (!isPart && others.length > 0) return sign + digits.replace(SEPARATORS, '');
  throw strange(text);
}

function strange(text: string): Error {
  return unreadable(`the money ${quoted(text)} may be two numbers. Leave lc_monetary at C`);
}
