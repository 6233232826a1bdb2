import { ProtocolError } from './protocol-error.ts';

/**
 * The bytes of a frame's header: one type byte and an int32 length that counts itself; the payload follows (protocol
 * section 54.2).
 */
const HEADER_BYTES = 5;
const EMPTY: Buffer = Buffer.alloc(0);

export interface FrameReaderOptions {
  /** The longest payload that is read. It guards memory, since the length comes from the other side. */
  readonly payloadBytesMax: number;
  /**
   * What happens to a longer frame: it is an error, or it is skipped without being kept, and reported with `oversize`
   * set.
   */
  readonly oversize?: 'refuse' | 'skip';
  /** How many bytes of a skipped frame's beginning are kept, as its payload; none by default. */
  readonly keptBytes?: number;
}

/**
 * Cuts a byte stream into frames. A frame that lies whole in one chunk is a view of that chunk; one that straddles
 * chunks is copied once. The reader holds at most one payload and one chunk.
 *
 *     reader.push(chunk);
 *     while (reader.next()) use(reader.type, reader.payload);
 */
export class FrameReader {
  /** The type byte of the current frame. */
  type = 0;
  /** The payload of the current frame: a view, which is valid until the chunk's owner overwrites the chunk. */
  payload: Buffer = EMPTY;
  /** The current frame was over the bound: its payload is only the frame's beginning. */
  oversize = false;

  /** The longest payload that is read; it may change between frames. */
  payloadBytesMax: number;
  /** The bytes that are kept of a frame that is too long; undefined if such a frame is refused. */
  readonly #keptBytes: number | undefined;
  #buffer: Buffer = EMPTY;
  #offset = 0;
  /** The chunks behind `#buffer`, which wait until the frame at its end is whole. */
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  /** The bytes of an oversize frame, behind its beginning, that are still to be dropped. */
  #skipBytes = 0;
  #beginning: Buffer | undefined;

  constructor(options: FrameReaderOptions) {
    this.payloadBytesMax = options.payloadBytesMax;
    if (options.oversize === 'skip') this.#keptBytes = Math.min(options.keptBytes ?? 0, options.payloadBytesMax);
  }

  /** The number of received bytes that belong to no finished frame. */
  get bufferedBytes(): number {
    return this.#buffer.length - this.#offset + this.#queuedBytes;
  }

  /** Gives the reader more bytes. It keeps the chunk, so the caller must not reuse it. */
  push(chunk: Buffer): void {
    if (this.#offset === this.#buffer.length && this.#queuedBytes === 0) {
      this.#buffer = chunk;
      this.#offset = 0;
    } else if (chunk.length > 0) {
      this.#queue.push(chunk);
      this.#queuedBytes += chunk.length;
    }
  }

  /** Moves to the next whole frame. Throws {@link ProtocolError} for an impossible length. */
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
      // A copy, since the chunk may be large.
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

  /** Gives the bytes that were received and not consumed, so that another reader can take over the stream. */
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

  /** Makes `need` bytes from the offset on contiguous. Copies only a frame that straddles chunks. */
  #gather(need: number): boolean {
    let have = this.#buffer.length - this.#offset;
    if (have >= need) return true;
    if (have + this.#queuedBytes < need) return false;
    if (have === 0) {
      // The frame starts with a queued chunk: no copy is needed if it is whole there.
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
