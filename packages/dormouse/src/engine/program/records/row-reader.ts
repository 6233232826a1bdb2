/**
 * Finds where the values of one row lie in its DataRow (protocol: int16 count; for each value an int32 length and the
 * bytes). One reader is used again for every row of a result: `read` overwrites the positions of the row before.
 */
export class RowReader {
  row: Uint8Array = new Uint8Array(0);
  /** For each column, the offset of the value's first byte. */
  readonly from: Int32Array;
  /** For each column, the offset after the value's last byte; -1 for NULL. */
  readonly to: Int32Array;

  constructor(columns: number) {
    this.from = new Int32Array(columns);
    this.to = new Int32Array(columns);
  }

  read(row: Uint8Array): void {
    this.row = row;
    const { from, to } = this;
    const count = ((row[0] as number) << 8) | (row[1] as number);
    let at = 2;
    for (let column = 0; column < count; column++) {
      const length =
        ((row[at] as number) << 24) |
        ((row[at + 1] as number) << 16) |
        ((row[at + 2] as number) << 8) |
        (row[at + 3] as number);
      at += 4;
      from[column] = at;
      if (length < 0) {
        to[column] = -1;
      } else {
        at += length;
        to[column] = at;
      }
    }
  }
}
