/** One slab serves many small messages; 8 KiB is what a socket takes at once without a second allocation. */
const SLAB_BYTES = 8192;

/**
 * Writes any number of protocol messages into one buffer. Bytes that {@link take} has given are never written again, so
 * they may go to a socket that sends them later.
 */
export class ByteWriter {
  #slab: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #start = 0;
  #offset = 0;
  #frame = 0;

  /** Bytes written since the last `take`. */
  get length(): number {
    return this.#offset - this.#start;
  }

  /** Gives the finished bytes; the writer starts anew behind them. */
  take(): Buffer {
    const out = this.#slab.subarray(this.#start, this.#offset);
    this.#start = this.#offset;
    return out;
  }

  /** Drops what was written since the last `take`, except for its first `length` bytes. */
  reset(length = 0): void {
    this.#offset = this.#start + length;
  }

  /** Opens a frame of the given type. */
  open(type: number): void {
    this.#ensure(5);
    this.#slab[this.#offset] = type;
    this.#frame = this.#offset - this.#start + 1;
    this.#offset += 5;
  }

  /** Opens a frame without a type byte. All messages before the session have this form. */
  openUntyped(): void {
    this.#ensure(4);
    this.#frame = this.#offset - this.#start;
    this.#offset += 4;
  }

  /** Closes the open frame by filling in its length. */
  close(): void {
    const at = this.#start + this.#frame;
    this.#slab.writeInt32BE(this.#offset - at, at);
  }

  byte(value: number): void {
    this.#ensure(1);
    this.#slab[this.#offset++] = value;
  }

  int16(value: number): void {
    this.#ensure(2);
    const slab = this.#slab;
    slab[this.#offset] = value >> 8;
    slab[this.#offset + 1] = value;
    this.#offset += 2;
  }

  int32(value: number): void {
    this.#ensure(4);
    const slab = this.#slab;
    const at = this.#offset;
    slab[at] = value >> 24;
    slab[at + 1] = value >> 16;
    slab[at + 2] = value >> 8;
    slab[at + 3] = value;
    this.#offset = at + 4;
  }

  bytes(value: Uint8Array): void {
    this.#ensure(value.length);
    this.#slab.set(value, this.#offset);
    this.#offset += value.length;
  }

  /** UTF-8, no terminator. */
  text(value: string): void {
    // UTF-8 takes at most three bytes per UTF-16 unit.
    this.#ensure(value.length * 3);
    this.#offset += this.#slab.write(value, this.#offset, 'utf8');
  }

  /**
   * UTF-8 and a zero byte. A zero inside the text would end the string early and shift the bytes behind it: it is
   * refused, as a bug of the caller.
   */
  cstring(value: string): void {
    if (value.includes('\0')) throw new RangeError('a protocol string cannot hold a zero byte');
    this.text(value);
    this.byte(0);
  }

  /** UTF-8 after an int32 with its length, as parameter values are sent. */
  sizedText(value: string): void {
    this.#ensure(value.length * 3 + 4);
    const at = this.#offset;
    const length = this.#slab.write(value, at + 4, 'utf8');
    this.#offset = at;
    this.int32(length);
    this.#offset = at + 4 + length;
  }

  #ensure(bytes: number): void {
    if (this.#offset + bytes <= this.#slab.length) return;
    const held = this.#offset - this.#start;
    // Doubling keeps the cost of a large message linear. A fresh slab leaves the bytes that were taken before
    // untouched.
    const slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, (held + bytes) * (held > 0 ? 2 : 1)));
    this.#slab.copy(slab, 0, this.#start, this.#offset);
    this.#slab = slab;
    this.#start = 0;
    this.#offset = held;
  }
}
