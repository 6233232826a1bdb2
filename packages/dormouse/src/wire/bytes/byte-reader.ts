import { ProtocolError } from './protocol-error.ts';

/**
 * Reads a payload from front to back. A read over the end throws {@link ProtocolError}; no byte beyond the payload is
 * read.
 */
export class ByteReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  byte(): number {
    this.#need(1);
    return this.#bytes[this.#offset++] as number;
  }

  int16(): number {
    this.#need(2);
    const value = this.#bytes.readInt16BE(this.#offset);
    this.#offset += 2;
    return value;
  }

  int32(): number {
    this.#need(4);
    const value = this.#bytes.readInt32BE(this.#offset);
    this.#offset += 4;
    return value;
  }

  uint32(): number {
    return this.int32() >>> 0;
  }

  int64(): bigint {
    this.#need(8);
    const value = this.#bytes.readBigInt64BE(this.#offset);
    this.#offset += 8;
    return value;
  }

  /** Gives a view of the payload, not a copy. */
  bytes(length: number): Buffer {
    if (length < 0) throw new ProtocolError(`negative length ${length}`);
    this.#need(length);
    const value = this.#bytes.subarray(this.#offset, this.#offset + length);
    this.#offset += length;
    return value;
  }

  cstring(): string {
    const end = this.#bytes.indexOf(0, this.#offset);
    if (end < 0) throw new ProtocolError('unterminated string');
    const value = this.#bytes.toString('utf8', this.#offset, end);
    this.#offset = end + 1;
    return value;
  }

  rest(): Buffer {
    return this.bytes(this.remaining);
  }

  /** Throws if bytes of the payload are left. */
  end(): void {
    if (this.remaining !== 0) throw new ProtocolError(`${this.remaining} bytes too many in a message`);
  }

  #need(bytes: number): void {
    if (this.#offset + bytes > this.#bytes.length) throw new ProtocolError('message is shorter than it says');
  }
}
