import { QueryRefused } from '../compiler/index.ts';
import { isObject } from '../request/index.ts';

/**
 * Whether a part of a query has a value in a form that the client does not write: half a surrogate pair, a date that
 * does not exist, a number that a double cannot tell from the next. Such a query is compiled with its values, so that
 * the compiler reads and refuses them as the engine of Prisma 6 did; as parameters the values would reach Postgres
 * unchecked. Throws {@link QueryRefused} for a JSON value that is not JSON, at which the compiler panics.
 */
export function hasOddValues(value: unknown): boolean {
  if (typeof value === 'string') return !value.isWellFormed();
  if (typeof value === 'number') return isOddNumber(value);
  if (Array.isArray(value)) return value.some(hasOddValues);
  if (!isObject(value)) return false;
  if (typeof value.$type === 'string' && Object.hasOwn(FORMS, value.$type)) {
    const odd = isOddTagged(value.$type, value.value);
    if (odd && value.$type === 'Json' && !isJson(value.value)) throw notJson(value.value);
    return odd;
  }
  for (const key of Object.keys(value)) if (!key.isWellFormed() || hasOddValues(value[key])) return true;
  return false;
}

/** Whether a number is an integer that a double cannot tell from the next. */
export function isOddNumber(value: number): boolean {
  return Number.isInteger(value) && !Number.isSafeInteger(value);
}

/**
 * Whether the value of a tagged scalar (`{"$type":"DateTime","value":"…"}`) is not in the form that the client writes.
 */
export function isOddTagged(type: string, value: unknown): boolean {
  const isForm = Object.hasOwn(FORMS, type) ? FORMS[type] : undefined;
  return typeof value !== 'string' || !value.isWellFormed() || isForm?.(value) === false;
}

const FORMS: Readonly<Record<string, (text: string) => boolean>> = {
  DateTime: (text) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(text) && isInstant(text),
  BigInt: (text) => /^(?:0|-?[1-9]\d{0,18})$/.test(text) && BigInt.asIntN(64, BigInt(text)) === BigInt(text),
  Decimal: (text) => /^-?\d+(?:\.\d+)?$/.test(text),
  Bytes: isBase64,
  // The compiler would write the numbers again, as doubles and in its own form.
  Json: (text) => isJson(text) && JSON.stringify(JSON.parse(text)) === text,
};

function isInstant(text: string): boolean {
  const date = new Date(text);
  return !Number.isNaN(date.getTime()) && date.toISOString() === text;
}

/** Base64 with its padding and without bits after the last byte. */
function isBase64(text: string): boolean {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return false;
  const end = text.slice(-4);
  return Buffer.from(end, 'base64').toString('base64') === end;
}

/** Half a surrogate pair as JSON escapes it, where the backslash is not escaped itself. */
const LONE_SURROGATE = /(?<!\\)(?:\\\\)*\\ud[89a-f]/;

function isJson(text: unknown): boolean {
  try {
    return typeof text === 'string' && !LONE_SURROGATE.test(JSON.stringify(JSON.parse(text)));
  } catch {
    return false;
  }
}

/** The error of Prisma 6's engine for other values that it cannot convert. */
function notJson(value: unknown): QueryRefused {
  const written = typeof value === 'string' ? `String(${JSON.stringify(value)})` : JSON.stringify(value);
  return new QueryRefused({
    message: `Could not convert argument value Object {"$type": String("Json"), "value": ${written}} to ArgumentValue.`,
  });
}
