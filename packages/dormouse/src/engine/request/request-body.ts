import { isUtf8 } from 'node:buffer';
import { DormouseError } from '../../base/index.ts';

/** A JSON object whose members are not checked yet. */
export type JsonObject = { readonly [key: string]: unknown };

/**
 * Levels of nesting that a body may have. Prisma's own engine accepts 128 levels of a query; the Prisma 7 plan of a
 * deeply nested write has more, since each level of the query becomes several of the plan. Every walk over a body is
 * recursive and relies on this bound.
 */
export const DEPTH_MAX = 400;

/** The body as text. Throws `request_invalid` for bytes that are not UTF-8. */
export function bodyText(body: Uint8Array): string {
  if (!isUtf8(body)) throw new DormouseError('request_invalid', { message: 'The request body is not UTF-8.' });
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
}

/** Parses a body that must be one JSON object. Throws `request_invalid`. */
export function parseBody(text: string): JsonObject {
  checkDepth(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new DormouseError('request_invalid', { message: 'The request body is not JSON.', cause });
  }
  if (!isObject(value))
    throw new DormouseError('request_invalid', { message: 'The request body is not a JSON object.' });
  return value;
}

/** An object that is not an array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A text shorter than this cannot nest deeper than the bound. */
const SHORT = DEPTH_MAX;

/** Refuses a text that nests too deep, before any recursive code reads it. */
function checkDepth(text: string): void {
  if (text.length < SHORT) return;
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (inString) {
      if (code === 92) at++;
      else if (code === 34) inString = false;
    } else if (code === 34) inString = true;
    else if (code === 91 || code === 123) {
      if (++depth > DEPTH_MAX) {
        throw new DormouseError('request_invalid', {
          message: `The request body nests deeper than ${DEPTH_MAX} levels.`,
        });
      }
    } else if (code === 93 || code === 125) depth--;
  }
}

/** The error for a body that is JSON but not what its route takes. */
export function requestInvalid(reason: string): DormouseError {
  return new DormouseError('request_invalid', { message: `The request cannot be understood: ${reason}.` });
}
