import { ProtocolError } from './protocol-error.ts';

/** A frame: one type byte, an int32 length that counts itself, the payload (protocol section 54.2). */
const HEADER_BYTES = 5;
const EMPTY: Buffer = Buffer.alloc(0);

export interface FrameReaderOptions {
  /** Longest payload that is read. Guards memory: the length comes from the other side. */
  readonly payloadBytesMax: number;
  /**
   * What becomes of a longer one: an error, or passed over without keeping it (the frame is seen with `oversize` set).
   */
  readonly oversize?: 'refuse' | 'skip';
  /** How many bytes of a frame that is passed over are kept from its beginning, as its payload; by default none. */
  readonly keptBytes?: number;
}

/**
 * Cuts a byte stream into frames. A frame that lies whole in one chunk is a view of that chunk; one that straddles
 * chunks is copied once. Memory held is at most one payload plus one chunk.
 *
 *     reader.push(chunk);
 *     while (reader.next()) use(reader.type, reader.payload);
 */
export class FrameReader {
  /** The type byte of the current frame. */
  type = 0;
  /** The payload of the current frame; a view, valid as long as the chunk is not overwritten by its owner. */
  payload: Buffer = EMPTY;
  /** The current frame was over the bound: its payload is what it begins with. */
  oversize = false;

  /** Longest payload that is read; may change between frames. */
  payloadBytesMax: number;
  /** Undefined: refuse. */
  readonly #keptBytes: number | undefined;
  #buffer: Buffer = EMPTY;
  #offset = 0;
  /** Chunks that wait behind `#buffer` until the frame at its end is whole. */
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  /** Bytes of an oversize frame still to drop, behind its beginning. */
  #skipBytes = 0;
  #beginning: Buffer | undefined;

  constructor(options: FrameReaderOptions) {
    this.payloadBytesMax = options.payloadBytesMax;
    if (options.oversize === 'skip') this.#keptBytes = Math.min(options.keptBytes ?? 0, options.payloadBytesMax);
  }

  /** Bytes received that belong to no finished frame. */
  get bufferedBytes(): number {
    return this.#buffer.length - this.#offset + this.#queuedBytes;
  }

  /** Gives the reader more bytes; it keeps the chunk, so the caller must not reuse it. */
  push(chunk: Buffer): void {
    if (this.#offset === this.#buffer.length && this.#queuedBytes === 0) {
      this.#buffer = chunk;
      this.#offset = 0;
    } else if (chunk.length > 0) {
      this.#queue.push(chunk);
      this.#queuedBytes += chunk.length;
    }
  }

  /** Moves to the next whole frame. Throws {@link ProtocolError} for a length that cannot be. */
  next(): boolean {
    if (this.#beginning !== undefined) return this.#skip(this.#beginning);
    if (!this.#gather(HEADER_BYTES)) return false;
    const length = this.#buffer.readInt32BE(this.#offset + 1);
    if (length < 4) throw new ProtocolError(`frame length ${length} is below 4`);
    if (length - 4 > this.payloadBytesMax) {
      if (this.#keptBytes === undefined)
        throw new ProtocolError(`frame of ${length} bytes is over the limit of ${this.payloadBytesMax}`);
      if (!this.#gather(HEADER_BYTES + this.#keptBytes)) return false;
      const start = this.#offset + HEADER_BYTES;
      this.type = this.#buffer[this.#offset] as number;
      // A copy: the chunk it came in may be large.
      this.#beginning = Buffer.from(this.#buffer.subarray(start, start + this.#keptBytes));
      this.#offset = start + this.#keptBytes;
      this.#skipBytes = length - 4 - this.#keptBytes;
      return this.#skip(this.#beginning);
    }
    if (!this.#gather(length + 1)) return false;
    const start = this.#offset;
    const end = start + length + 1;
    this.type = this.#buffer[start] as number;
    this.payload = this.#buffer.subarray(start + HEADER_BYTES, end);
    this.oversize = false;
    this.#offset = end;
    return true;
  }

  /** Takes what was received and not consumed, for handing the stream to another reader. */
  takeRest(): Buffer {
    const rest = Buffer.concat([this.#buffer.subarray(this.#offset), ...this.#queue]);
    this.#clear();
    return rest;
  }

  #clear(): void {
    this.#buffer = EMPTY;
    this.#offset = 0;
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  /** Makes `need` bytes contiguous from the offset on, copying only the frame that straddles. */
  #gather(need: number): boolean {
    let have = this.#buffer.length - this.#offset;
    if (have >= need) return true;
    if (have + this.#queuedBytes < need) return false;
    if (have === 0) {
      // The frame starts exactly with a queued chunk: no copy if it is whole there.
      this.#buffer = this.#queue.shift() as Buffer;
      this.#queuedBytes -= this.#buffer.length;
      this.#offset = 0;
      have = this.#buffer.length;
      if (have >= need) return true;
    }
    const parts = [this.#buffer.subarray(this.#offset)];
    while (have < need) {
      const chunk = this.#queue.shift() as Buffer;
      this.#queuedBytes -= chunk.length;
      have += chunk.length;
      parts.push(chunk);
    }
    this.#buffer = Buffer.concat(parts, have);
    this.#offset = 0;
    return true;
  }

  #skip(beginning: Buffer): boolean {
    for (;;) {
      const here = Math.min(this.#skipBytes, this.#buffer.length - this.#offset);
      this.#offset += here;
      this.#skipBytes -= here;
      if (this.#skipBytes === 0) {
        this.#beginning = undefined;
        this.payload = beginning;
        this.oversize = true;
        return true;
      }
      const chunk = this.#queue.shift();
      if (chunk === undefined) return false;
      this.#queuedBytes -= chunk.length;
      this.#buffer = chunk;
      this.#offset = 0;
    }
  }
}
