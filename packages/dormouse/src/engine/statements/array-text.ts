/** Reads and writes the text form of Postgres arrays (PostgreSQL documentation 8.15.6). */

/** The value of an array: its elements, which are values, NULL, or (with several dimensions) arrays. */
export type ArrayValue<T> = (T | null | ArrayValue<T>)[];

/** Postgres allows at most six dimensions (MAXDIM). */
const DIMENSIONS_MAX = 6;

const QUOTE = 34;
const COMMA = 44;
const EQUALS = 61;
const BACKSLASH = 92;
const OPEN = 123;
const CLOSE = 125;

/**
 * Parses the text form of an array. `element` converts the text of each element; an unquoted NULL becomes null. Throws
 * a plain `Error` for a text that Postgres does not write.
 */
export function parseArrayText<T>(text: string, element: (text: string) => T): ArrayValue<T> {
  let at = 0;
  if (text.charCodeAt(0) === 91) {
    // An array whose indexes do not start at 1 begins with its bounds: [0:1]={a,b}.
    while (at < text.length && text.charCodeAt(at) !== EQUALS) at++;
    at++;
  }
  if (text.charCodeAt(at) !== OPEN) throw new Error('array text does not start with a brace');
  const root: ArrayValue<T> = [];
  const stack: ArrayValue<T>[] = [root];
  let current = root;
  at++;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === OPEN) {
      if (stack.length >= DIMENSIONS_MAX) throw new Error('array text has too many dimensions');
      const inner: ArrayValue<T> = [];
      current.push(inner);
      stack.push(inner);
      current = inner;
      at++;
    } else if (code === CLOSE) {
      stack.pop();
      const outer = stack[stack.length - 1];
      at++;
      if (outer === undefined) {
        if (at !== text.length) break;
        return root;
      }
      current = outer;
    } else if (code === COMMA) {
      at++;
    } else if (code === QUOTE) {
      const end = closingQuote(text, at + 1);
      current.push(element(withoutEscapes(text.slice(at + 1, end))));
      at = end + 1;
    } else {
      let end = at;
      while (end < text.length) {
        const next = text.charCodeAt(end);
        if (next === COMMA || next === CLOSE) break;
        end++;
      }
      const raw = text.slice(at, end);
      current.push(raw === 'NULL' ? null : element(raw));
      at = end;
    }
  }
  throw new Error('array text ends in the middle');
}

function closingQuote(text: string, from: number): number {
  let at = from;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at;
    at += code === BACKSLASH ? 2 : 1;
  }
  throw new Error('array text has an open quote');
}

function withoutEscapes(quoted: string): string {
  return quoted.includes('\\') ? quoted.replace(/\\(.)/gs, '$1') : quoted;
}

/** Formats an array whose elements are texts, NULL, or arrays. */
export function formatArrayText(elements: ArrayValue<string>): string {
  let out = '{';
  for (let index = 0; index < elements.length; index++) {
    if (index > 0) out += ',';
    const element = elements[index];
    if (element === null || element === undefined) out += 'NULL';
    else if (typeof element === 'string') out += `"${element.replace(/[\\"]/g, '\\$&')}"`;
    else out += formatArrayText(element);
  }
  return `${out}}`;
}
