/** Commands that may change what a statement means; a block (DO) or a procedure (CALL) may run any of them. */
const DEFINES = /^(?:ALTER|CREATE|DROP|DO$|CALL$|IMPORT)/;
/**
 * The shortest tags of their kind, with the final zero: `ALTER TYPE`, `CREATE TYPE`. `ANALYZE`, `COMMIT` and `COMMENT`
 * are shorter.
 */
const ALTER_BYTES_MIN = 11;
const CREATE_BYTES_MIN = 12;
const DO_BYTES = 3;
const CALL_BYTES = 5;

/**
 * Counts how often the tables of one database may have changed, as far as its doors saw it. A prepared statement keeps
 * the types that its parameters had at its Parse: after a column has changed from `real` to `double precision`, a value
 * would still be cut to a `real`, without an error. So connections compare the count before they use a prepared
 * statement.
 */
export class SchemaChanges {
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Called when a transaction that may have changed a table is committed. */
  note(): void {
    this.#count += 1;
  }
}

/** Whether a command with this tag may have changed a table. */
export function mayChangeSchema(tag: string): boolean {
  // The frequent tag comes first.
  return !tag.startsWith('SELECT') && DEFINES.test(tag);
}

/**
 * The same, decided by what a relay sees of a CommandComplete: its first byte and its length. A yes too many costs a
 * Parse. DROP alone needs no new Parse.
 */
export function mayChangeSchemaBytes(first: number, payloadBytes: number): boolean {
  switch (first) {
    case 0x41: // A
      return payloadBytes >= ALTER_BYTES_MIN;
    case 0x43: // C
      return payloadBytes >= CREATE_BYTES_MIN || payloadBytes === CALL_BYTES;
    case 0x44: // D
      return payloadBytes === DO_BYTES;
    default:
      return false;
  }
}
