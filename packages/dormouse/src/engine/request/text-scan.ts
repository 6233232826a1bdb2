const QUOTE = 0x22;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
/** Values that a text may have. A text with more is a write of many rows, or has a list. */
export const SLOTS_MAX = 96;
/** The first values of a query, which are part of the hash: its model and its action. */
const NAMING_SLOTS = 2;
/** Characters that must be escaped in a JSON string, and that the client never writes between tokens. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern looks for control characters.
const CONTROL = /[\u0000-\u001f]/;

/**
 * One walk over the text of a JSON query: finds where its values stand (strings and numbers, not keys), and hashes the
 * text between them. The walk proves nothing about the text: only a template that equals the text does.
 */
export class TextScan {
  text = '';
  /** Whether any string of the text has an escape. */
  escaped = false;
  /** The hash of the text between the values and of the first two values. */
  hash = 0;
  /** How many values there are. */
  count = 0;
  /** Where each value begins. A string begins after its opening quote. */
  readonly from: Int32Array = new Int32Array(SLOTS_MAX);
  /** Where each value ends. A string ends before its closing quote. */
  readonly to: Int32Array = new Int32Array(SLOTS_MAX);

  /** Reads a text. False for a text that is not of the form that the client writes, or has too many values. */
  read(text: string): boolean {
    if (CONTROL.test(text)) return false;
    this.text = text;
    this.escaped = text.includes('\\');
    let hash = text.length === 0 ? 0 : 1;
    let count = 0;
    const { length } = text;
    for (let at = 0; at < length; at++) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) {
        const end = this.#stringEnd(at + 1);
        if (end < 0) return false;
        const isKey = text.charCodeAt(end + 1) === COLON;
        if (!isKey) {
          if (count === SLOTS_MAX) return false;
          this.from[count] = at + 1;
          this.to[count] = end;
        }
        if (isKey || count < NAMING_SLOTS) {
          for (let inner = at + 1; inner < end; inner++) hash = Math.imul(hash ^ text.charCodeAt(inner), 0x01000193);
        }
        if (!isKey) count++;
        at = end;
      } else if (code === MINUS || (code >= ZERO && code <= NINE)) {
        if (count === SLOTS_MAX) return false;
        this.from[count] = at;
        while (at + 1 < length && inNumber(text.charCodeAt(at + 1))) at++;
        this.to[count] = at + 1;
        count++;
        hash = Math.imul(hash ^ ZERO, 0x01000193);
        continue;
      }
      hash = Math.imul(hash ^ code, 0x01000193);
    }
    this.hash = hash ^ (hash >>> 15);
    this.count = count;
    return true;
  }

  /** The closing quote of the string that begins at `from`, or -1. */
  #stringEnd(from: number): number {
    const { text } = this;
    let end = text.indexOf('"', from);
    while (this.escaped && end >= 0) {
      let before = end - 1;
      while (before >= from && text.charCodeAt(before) === BACKSLASH) before--;
      if ((end - before) % 2 === 1) break;
      end = text.indexOf('"', end + 1);
    }
    return end;
  }
}

/** Digits, `+-.`, `e` and `E`. */
function inNumber(code: number): boolean {
  return (
    (code >= ZERO && code <= NINE) || code === MINUS || code === 0x2e || code === 0x2b || code === 0x65 || code === 0x45
  );
}
