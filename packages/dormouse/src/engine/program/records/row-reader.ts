/**
 * Where the values of one row lie in its DataRow: int16 count, then int32 length and bytes each. Used again for each
 * row.
 */
export class RowReader {
  row: Uint8Array = new Uint8Array(0);
  /** First byte of each column's value. */
  readonly from: Int32Array;
  /** The byte after each column's value; -1 for NULL. */
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
