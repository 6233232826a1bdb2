/** Commands that may change what a statement means; a block or a procedure may hold any of them. */
const DEFINES = /^(?:ALTER|CREATE|DROP|DO$|CALL$|IMPORT)/;
/**
 * Shortest tags of their kind: `ALTER TYPE`, `CREATE TYPE`; `ANALYZE`, `COMMIT`, `COMMENT` are shorter. With the final
 * zero.
 */
const ALTER_BYTES_MIN = 11;
const CREATE_BYTES_MIN = 12;
const DO_BYTES = 3;
const CALL_BYTES = 5;

/**
 * How often the tables of one database may have changed, as its doors saw it. A prepared statement keeps the types that
 * its parameters had when it was parsed: after a column has changed from `real` to `double precision`, a value would
 * still be cut to a `real`, and no error tells. Connections compare the count before they use a prepared statement.
 */
export class SchemaChanges {
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Called when what may have changed a table is committed. */
  note(): void {
    this.#count += 1;
  }
}

/** Whether a command with this tag may have changed a table. */
export function mayChangeSchema(tag: string): boolean {
  // The frequent ones first.
  return !tag.startsWith('SELECT') && DEFINES.test(tag);
}

/**
 * The same by what a relay sees of a CommandComplete: its first byte and its length. Too often costs a Parse; DROP
 * alone needs none.
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
