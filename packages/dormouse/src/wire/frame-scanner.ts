import { ProtocolError } from './protocol-error.ts';

/**
 * Follows the frames of a stream that is relayed, without keeping it: tells each frame's type as its header ends, and the first
 * byte of its payload. For a relay that must know where messages start and nothing more.
 */
export class FrameScanner {
  readonly #onFrame: (type: number, payloadBytes: number, firstByte: number) => void;
  readonly #payloadBytesMax: number;
  #type = 0;
  #length = 0;
  /** Bytes of the header seen so far, 0 to 5; at 5 the payload runs. */
  #header = 0;
  #payloadLeft = 0;
  #payloadBytes = 0;

  /** `onFrame` gets -1 as first byte of an empty payload. */
  constructor(
    onFrame: (type: number, payloadBytes: number, firstByte: number) => void,
    payloadBytesMax: number = 0x7fff_ffff,
  ) {
    this.#onFrame = onFrame;
    this.#payloadBytesMax = payloadBytesMax;
  }

  /** Between two frames: the next byte starts a message. */
  get atBoundary(): boolean {
    return this.#header === 0;
  }

  /** Follows one chunk. Throws {@link ProtocolError} for a length that cannot be. */
  scan(chunk: Uint8Array): void {
    const end = chunk.length;
    let at = 0;
    while (at < end) {
      if (this.#header === 5) {
        if (this.#payloadLeft === this.#payloadBytes)
          this.#onFrame(this.#type, this.#payloadBytes, chunk[at] as number);
        const here = Math.min(this.#payloadLeft, end - at);
        at += here;
        this.#payloadLeft -= here;
        if (this.#payloadLeft === 0) this.#header = 0;
        continue;
      }
      const byte = chunk[at++] as number;
      if (this.#header === 0) this.#type = byte;
      else this.#length = (this.#length << 8) | byte;
      this.#header += 1;
      if (this.#header < 5) continue;
      const length = this.#length;
      this.#length = 0;
      if (length < 4) throw new ProtocolError(`frame length ${length} is below 4`);
      if (length - 4 > this.#payloadBytesMax) throw new ProtocolError(`frame of ${length} bytes is over the limit`);
      this.#payloadBytes = length - 4;
      this.#payloadLeft = this.#payloadBytes;
      if (this.#payloadBytes === 0) {
        this.#header = 0;
        this.#onFrame(this.#type, 0, -1);
      }
    }
  }
}
