import { type Cancellation, type Deadline, DormouseError } from '../base/index.ts';
import {
  BackendMessage,
  ByteWriter,
  decodeBackendKeyData,
  decodeErrorResponse,
  decodeParameterStatus,
  encodeStartup,
  FrameReader,
  PostgresError,
  PROTOCOL_3_0,
  ProtocolError,
} from '../wire/index.ts';
import { LoginExchange, type PasswordLogin } from './login-exchange.ts';
import type { ServerSocket } from './server-socket.ts';

/** During the start-up no message is large; the server's own parameter reports are below 1 KiB. */
const START_UP_PAYLOAD_BYTES_MAX = 1 << 20;

/** The server starts, recovers, is being stopped, or has just crashed: none of these is the fault of this session. */
const BETWEEN_RUNS = new Set(['57P01', '57P02', '57P03']);

/** The stream ended before the start-up was over; `cause` is the stream's own error, if the stream had one. */
export class StreamLost extends Error {
  override readonly name = 'StreamLost';

  constructor(cause: Error | undefined) {
    super('connection lost', cause === undefined ? undefined : { cause });
  }
}

/** Whether a session that could not be opened may be opened a moment later, once the server runs again. */
export function opensLater(error: unknown): boolean {
  return error instanceof StreamLost || (error instanceof PostgresError && BETWEEN_RUNS.has(error.code));
}

export interface OpenOptions {
  /** Startup parameters; `user` and `database` among them. */
  readonly parameters: Iterable<readonly [name: string, value: string]>;
  /** For a server that asks for a password. */
  readonly login?: PasswordLogin | undefined;
  /** The time by which the session must be open. */
  readonly deadline?: Deadline;
  /** Gives the start-up up when it fires. */
  readonly cancellation?: Cancellation;
  /**
   * Takes over the stream of a start-up that was given up, since the server may go on with it. Without this, the stream
   * is destroyed.
   */
  readonly leave?: (processId: number | undefined) => void;
}

/**
 * A session that has just reached its first ReadyForQuery. The socket is paused, bytes that came after are back in its
 * buffer, and it has no listeners but one that keeps an unheard error from ending the process.
 */
export interface OpenedSession {
  readonly socket: ServerSocket;
  readonly processId: number;
  readonly secretKey: Buffer;
  /** ParameterStatus reports, in the server's order. */
  readonly parameters: ReadonlyMap<string, string>;
}

/**
 * Starts a session on a fresh stream (protocol section 54.2.1), version 3.0: what 3.2 adds is a longer cancel key,
 * which a private socket does not need. Fails with `PostgresError` (the server refused), `ProtocolError`, `ScramError`,
 * {@link StreamLost}, `connection_timeout`, `interrupted`; the socket is then destroyed or left.
 */
export function openSession(socket: ServerSocket, options: OpenOptions): Promise<OpenedSession> {
  return new Promise((resolve, reject) => {
    new StartUp(socket, options, resolve, reject).begin();
  });
}

class StartUp {
  readonly #socket: ServerSocket;
  readonly #options: OpenOptions;
  readonly #resolve: (session: OpenedSession) => void;
  readonly #reject: (error: Error) => void;
  readonly #reader = new FrameReader({ payloadBytesMax: START_UP_PAYLOAD_BYTES_MAX });
  readonly #writer = new ByteWriter();
  readonly #login: LoginExchange;
  readonly #parameters = new Map<string, string>();
  #processId: number | undefined;
  #secretKey: Buffer = Buffer.alloc(0);
  #stopTimer: (() => void) | undefined;
  #stopListening: (() => void) | undefined;

  constructor(
    socket: ServerSocket,
    options: OpenOptions,
    resolve: (session: OpenedSession) => void,
    reject: (error: Error) => void,
  ) {
    this.#socket = socket;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#login = new LoginExchange(options.login);
  }

  begin(): void {
    const { deadline, cancellation, parameters } = this.#options;
    if (deadline !== undefined && deadline.atMs !== Number.POSITIVE_INFINITY) {
      const timer = deadline.clock.after(deadline.remainingMs(), () =>
        this.#fail(new DormouseError('connection_timeout')),
      );
      this.#stopTimer = () => timer.cancel();
    }
    this.#socket.on('data', this.#onData);
    // This listener stays: a socket may report an error when no other listener is left.
    this.#socket.on('error', () => {});
    this.#socket.on('error', this.#onError);
    this.#socket.on('close', this.#onClose);
    if (cancellation?.cancelled === true) {
      this.#fail(new DormouseError('interrupted'));
      return;
    }
    this.#stopListening = cancellation?.onCancel(() => this.#fail(new DormouseError('interrupted')));
    encodeStartup(this.#writer, PROTOCOL_3_0, parameters);
    this.#socket.write(this.#writer.take());
  }

  readonly #onError = (cause: Error): void => this.#fail(new StreamLost(cause));
  readonly #onClose = (): void => this.#fail(new StreamLost(undefined));
  readonly #onData = (chunk: Buffer): void => {
    try {
      this.#reader.push(chunk);
      while (this.#reader.next()) if (this.#message() === 'over') return;
    } catch (error) {
      this.#fail(error as Error);
    }
  };

  /** Reads one message of the server; says whether the start-up is over. */
  #message(): 'over' | 'more' {
    const { type, payload } = this.#reader;
    switch (type) {
      case BackendMessage.Authentication:
        this.#login.answer(payload, this.#writer);
        if (this.#writer.length > 0) this.#socket.write(this.#writer.take());
        return 'more';
      case BackendMessage.ParameterStatus: {
        const { name, value } = decodeParameterStatus(payload);
        this.#parameters.set(name, value);
        return 'more';
      }
      case BackendMessage.BackendKeyData:
        ({ processId: this.#processId, secretKey: this.#secretKey } = decodeBackendKeyData(payload));
        return 'more';
      case BackendMessage.NoticeResponse:
        return 'more';
      case BackendMessage.ErrorResponse:
        this.#fail(decodeErrorResponse(payload));
        return 'over';
      case BackendMessage.ReadyForQuery:
        this.#finish();
        return 'over';
      default:
        throw new ProtocolError(`message ${type} during start-up`);
    }
  }

  #finish(): void {
    const socket = this.#socket;
    socket.pause();
    this.#detach();
    if (this.#reader.bufferedBytes > 0) socket.unshift(this.#reader.takeRest());
    this.#resolve({
      socket,
      processId: this.#processId ?? 0,
      secretKey: this.#secretKey,
      parameters: this.#parameters,
    });
  }

  #fail(error: Error): void {
    this.#detach();
    // A server that has refused the session ends the stream by itself.
    if (error instanceof PostgresError || this.#options.leave === undefined) this.#socket.destroy();
    else this.#options.leave(this.#processId);
    this.#reject(error);
  }

  #detach(): void {
    this.#stopTimer?.();
    this.#stopListening?.();
    this.#socket.off('data', this.#onData);
    this.#socket.off('error', this.#onError);
    this.#socket.off('close', this.#onClose);
  }
}
