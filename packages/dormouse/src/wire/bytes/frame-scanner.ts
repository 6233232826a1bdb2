import { ProtocolError } from './protocol-error.ts';

/** The bytes of a frame's header: a type byte and an int32 length that counts itself. */
const HEADER_BYTES = 5;

export interface FrameScannerOptions {
  /** The longest payload that a frame of this type may have. */
  readonly payloadBytesMax?: (type: number) => number;
  /** Of a frame of this type, the first so many bytes of the payload are kept until the next such frame. */
  readonly keep?: { readonly type: number; readonly bytes: number };
}

/**
 * Follows the frames of a stream that is relayed, without keeping the stream: reports each frame's type when its header
 * ends, and the first byte of its payload. For a relay, which must only know where messages start.
 */
export class FrameScanner {
  readonly #onFrame: (type: number, payloadBytes: number, firstByte: number) => void;
  readonly #payloadBytesMax: (type: number) => number;
  readonly #keep: FrameScannerOptions['keep'];
  #kept: Uint8Array[] = [];
  #keepLeft = 0;
  #type = 0;
  #length = 0;
  /** The bytes of the header seen so far, 0 to 5; at 5, the payload follows. */
  #header = 0;
  #payloadLeft = 0;
  #payloadBytes = 0;
  #stopped = false;

  /** `onFrame` gets -1 as the first byte of an empty payload. */
  constructor(
    onFrame: (type: number, payloadBytes: number, firstByte: number) => void,
    options: FrameScannerOptions = {},
  ) {
    this.#onFrame = onFrame;
    this.#payloadBytesMax = options.payloadBytesMax ?? (() => 0x7fff_ffff);
    this.#keep = options.keep;
  }

  /** The scanner is between two frames: the next byte starts a message. */
  get atBoundary(): boolean {
    return this.#header === 0;
  }

  /** The beginning of the last frame of the type whose frames are kept. */
  get kept(): Buffer {
    return Buffer.concat(this.#kept);
  }

  /** To be called from `onFrame`: nothing behind this frame's header is followed, now or later. */
  stop(): void {
    this.#stopped = true;
  }

  /**
   * Follows one chunk; gives the number of its bytes that were followed. Throws {@link ProtocolError} for an impossible
   * length.
   */
  scan(chunk: Uint8Array): number {
    const end = chunk.length;
    let at = 0;
    while (at < end && !this.#stopped) {
      if (this.#header === HEADER_BYTES) {
        if (this.#payloadLeft === this.#payloadBytes) {
          this.#begin(chunk[at] as number);
          if (this.#stopped) break;
        }
        const here = Math.min(this.#payloadLeft, end - at);
        if (this.#keepLeft > 0) this.#keepPart(chunk.subarray(at, at + here));
        at += here;
        this.#payloadLeft -= here;
        if (this.#payloadLeft === 0) this.#header = 0;
        continue;
      }
      if (this.#header === 0 && end - at >= HEADER_BYTES) {
        this.#type = chunk[at] as number;
        this.#length =
          ((chunk[at + 1] as number) << 24) |
          ((chunk[at + 2] as number) << 16) |
          ((chunk[at + 3] as number) << 8) |
          (chunk[at + 4] as number);
        at += HEADER_BYTES;
        this.#header = HEADER_BYTES;
      } else {
        const byte = chunk[at++] as number;
        if (this.#header === 0) this.#type = byte;
        else this.#length = (this.#length << 8) | byte;
        this.#header += 1;
        if (this.#header < HEADER_BYTES) continue;
      }
      const length = this.#length;
      this.#length = 0;
      if (length < 4) throw new ProtocolError(`the length ${length} of a message is below 4`);
      const limit = this.#payloadBytesMax(this.#type);
      if (length - 4 > limit) {
        const type = String.fromCharCode(this.#type);
        throw new ProtocolError(`a message of type '${type}' with ${length - 4} bytes is over the limit of ${limit}`);
      }
      this.#payloadBytes = length - 4;
      this.#payloadLeft = this.#payloadBytes;
      if (this.#payloadBytes === 0) {
        this.#header = 0;
        this.#begin(-1);
      }
    }
    return at;
  }

  #begin(first: number): void {
    if (this.#type === this.#keep?.type) {
      this.#kept = [];
      this.#keepLeft = this.#keep.bytes;
    } else {
      this.#keepLeft = 0;
    }
    this.#onFrame(this.#type, this.#payloadBytes, first);
  }

  #keepPart(part: Uint8Array): void {
    // A copy, since the chunk is the socket's.
    const bytes = Uint8Array.from(part.subarray(0, this.#keepLeft));
    this.#kept.push(bytes);
    this.#keepLeft -= bytes.length;
  }
}
