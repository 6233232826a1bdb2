/** Bytes of rows that are packed into one piece: copying them takes a millisecond or two. */
const SLICE_BYTES = 256 * 1024;
const LENGTH_BYTES = 4;

/**
 * Packs rows into a few large pieces of bytes, each row behind its length. Handing over a million rows one by one would
 * take a second.
 */
export function* packRows(rows: readonly Uint8Array[]): Generator<Uint8Array<ArrayBuffer>, void, undefined> {
  let from = 0;
  while (from < rows.length) {
    let bytes = 0;
    let to = from;
    while (to < rows.length && (to === from || bytes < SLICE_BYTES)) {
      bytes += LENGTH_BYTES + (rows[to++] as Uint8Array).byteLength;
    }
    const packed = new Uint8Array(bytes);
    const view = new DataView(packed.buffer);
    let at = 0;
    for (; from < to; from++) {
      const row = rows[from] as Uint8Array;
      view.setUint32(at, row.byteLength);
      packed.set(row, at + LENGTH_BYTES);
      at += LENGTH_BYTES + row.byteLength;
    }
    yield packed;
  }
}

/** Adds the rows of one piece to `rows`, as views of the piece. */
export function unpackRows(packed: Uint8Array, rows: Uint8Array[]): void {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  for (let at = 0; at < bytes.length; ) {
    const from = at + LENGTH_BYTES;
    at = from + bytes.readUInt32BE(at);
    rows.push(bytes.subarray(from, at));
  }
}
