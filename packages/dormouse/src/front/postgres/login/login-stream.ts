import type { Socket } from 'node:net';
import { FrameReader, ProtocolError, startupLength } from '../../../wire/index.ts';

/**
 * The bytes that a client may send before it has logged in. A startup message has 10 000 bytes at most, a SASL message
 * some hundreds.
 */
const LOGIN_BYTES_MAX = 32_768;
const FRAME_BYTES_MAX = 8_192;

/** The client hung up before it had logged in. Not an error: health checks and port scanners do that. */
export class HungUp extends Error {
  override readonly name = 'HungUp';
}

/** Reads the messages of a login one at a time, within a bound. */
export class LoginStream {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #frames: FrameReader | undefined;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;
  /** Set once the client has logged in and waits for its session. */
  #left: (() => void) | undefined;
  readonly #onData = (chunk: Buffer): void => {
    if (this.#frames === undefined) this.#received = Buffer.concat([this.#received, chunk]);
    else this.#frames.push(chunk);
    const held = this.#frames?.bufferedBytes ?? this.#received.length;
    if (held > LOGIN_BYTES_MAX && this.#left !== undefined) this.#socket.pause();
    else if (held > LOGIN_BYTES_MAX) this.#fail(new ProtocolError('too much was sent before the login'));
    else this.#wake?.();
  };
  readonly #onEnd = (): void => this.#fail(new HungUp('hung up'));

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('close', this.#onEnd);
  }

  /** The next message without a type byte, its length in front. */
  async startup(): Promise<Buffer> {
    for (;;) {
      const length = startupLength(this.#received);
      if (length !== undefined && this.#received.length >= length) {
        const message = this.#received.subarray(0, length);
        this.#received = this.#received.subarray(length);
        return message;
      }
      await this.#more();
    }
  }

  /** The next message of the given type. */
  async frame(type: number): Promise<Buffer> {
    if (this.#frames === undefined) {
      this.#frames = new FrameReader({ payloadBytesMax: FRAME_BYTES_MAX });
      this.#frames.push(this.#received);
    }
    while (!this.#frames.next()) await this.#more();
    if (this.#frames.type !== type) throw new ProtocolError('another message was expected during the login');
    return this.#frames.payload;
  }

  /**
   * From now on no message is expected: bytes that are sent ahead are kept, within the bound, and `left` is called when
   * the client leaves.
   */
  wait(left: () => void): void {
    this.#left = left;
    if (this.#failure !== undefined) left();
  }

  /** Fails the login that reads from this stream. */
  abort(error: Error): void {
    this.#fail(error);
  }

  /** Ends reading; bytes that were sent ahead go back into the socket, which stays paused. */
  detach(): void {
    this.#socket.pause();
    this.#socket.off('data', this.#onData);
    this.#socket.off('end', this.#onEnd);
    this.#socket.off('close', this.#onEnd);
    const rest = this.#frames?.takeRest() ?? this.#received;
    if (rest.length > 0) this.#socket.unshift(rest);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#wake?.();
    this.#left?.();
  }

  async #more(): Promise<void> {
    if (this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    if (this.#failure !== undefined) throw this.#failure;
  }
}
