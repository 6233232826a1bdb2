import { assert } from '../base/index.ts';
import {
  BackendMessage,
  ByteWriter,
  decodeDataRow,
  decodeErrorResponse,
  encodeCopyData,
  encodeQuery,
  encodeTerminate,
  FrameReader,
  type FrameReaderOptions,
  ProtocolError,
} from '../wire/index.ts';
import { type OpenedSession, type OpenOptions, openSession, StreamLost } from './open-session.ts';
import type { ServerSocket } from './server-socket.ts';
import { laterSettings, loginSettings, type SessionKind } from './session-settings.ts';

/** A row, each column as text. */
export type TextRow = readonly (string | null)[];

/** Takes the data of a COPY as it comes. */
export interface CopyReader {
  /** One CopyData payload; `cut` says that the message was over the session's bound, and this is only its beginning. */
  onData(payload: Buffer, cut: boolean): void;
  /** Called after all messages of one chunk that came from the server. */
  onChunkEnd?(): void;
  /** Called for each row of the statement, in the order in which rows and data come. */
  onRow?(row: TextRow): void;
}

export interface SimpleSessionOptions extends Omit<OpenOptions, 'leave'> {
  /** Whose settings the session has, on top of `parameters`; undefined for a session that takes no settings. */
  readonly kind?: SessionKind;
  /** The bound on one message of the server. */
  readonly frames: FrameReaderOptions;
  /** The error of everything that is under way when the server closes the stream without saying why. */
  readonly closed: () => Error;
}

interface Pending {
  readonly rows: TextRow[];
  readonly copy: CopyReader | undefined;
  readonly ends: 'ready' | 'copy-both';
  /** The data of the copy has ended. */
  copied: boolean;
  error: Error | undefined;
  resolve(rows: readonly TextRow[]): void;
  reject(error: Error): void;
}

/**
 * A session of the platform's own that runs one statement at a time by the simple query protocol, and reads streams of
 * COPY. A Postgres error leaves the session usable unless it is fatal; after any other failure the session has ended.
 */
export class SimpleSession {
  readonly #socket: ServerSocket;
  readonly #closed: () => Error;
  readonly #frames: FrameReader;
  readonly #writer = new ByteWriter();
  readonly #opened: OpenedSession;
  readonly #closeListeners = new Set<() => void>();
  #pending: Pending | undefined;
  /** The stream that START_REPLICATION opened; it stays open until the session ends. */
  #stream: CopyReader | undefined;
  #failure: Error | undefined;
  #ended = false;
  #received = 0;

  /**
   * Opens a session over a fresh stream. Fails with `PostgresError`, `ProtocolError`, `connection_timeout`,
   * `interrupted`, the stream's own error, and `closed()`.
   */
  static async open(socket: ServerSocket, options: SimpleSessionOptions): Promise<SimpleSession> {
    const { kind, parameters, closed } = options;
    const settings = kind === undefined ? [] : loginSettings(kind);
    let opened: OpenedSession;
    try {
      opened = await openSession(socket, { ...options, parameters: [...parameters, ...settings] });
    } catch (error) {
      throw error instanceof StreamLost ? (error.cause ?? closed()) : error;
    }
    const session = new SimpleSession(opened, options);
    const later = kind === undefined ? undefined : laterSettings(kind, session.major);
    if (later !== undefined) await session.query(later);
    return session;
  }

  private constructor(opened: OpenedSession, options: SimpleSessionOptions) {
    const { socket } = opened;
    this.#opened = opened;
    this.#socket = socket;
    this.#closed = options.closed;
    this.#frames = new FrameReader(options.frames);
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) => this.#end(error));
    socket.on('close', () => this.#end(this.#closed()));
    // The socket may have ended between the start-up and now.
    if (socket.destroyed) this.#end(this.#closed());
    socket.resume();
  }

  /** The server's major version. */
  get major(): number {
    return Number.parseInt(this.#opened.parameters.get('server_version') ?? '0', 10);
  }
  get processId(): number {
    return this.#opened.processId;
  }
  /** What a cancel request of this session needs besides the process id. */
  get secretKey(): Uint8Array {
    return this.#opened.secretKey;
  }
  /** The number of bytes that have come since the start-up, for a watchdog. */
  get received(): number {
    return this.#received;
  }
  get ended(): boolean {
    return this.#ended;
  }
  /** Why the session ended. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Runs one or more statements; gives the rows of all of them. Rejects with `PostgresError`. */
  query(sql: string): Promise<readonly TextRow[]> {
    return this.#ask(sql, 'ready', undefined);
  }

  /** Runs a statement that copies data out; resolves when the statement is complete. Rejects with `PostgresError`. */
  async copyOut(sql: string, reader: CopyReader): Promise<void> {
    await this.#ask(sql, 'ready', reader);
  }

  /** Runs START_REPLICATION; resolves when the stream has begun, which stays open until the session ends. */
  async copyBoth(sql: string, reader: CopyReader): Promise<void> {
    await this.#ask(sql, 'copy-both', reader);
    // A stream may begin and fail in one chunk.
    if (this.#failure !== undefined) throw this.#failure;
    assert(this.#stream !== undefined, 'START_REPLICATION opens a stream');
  }

  /** Sends one CopyData message. */
  send(payload: Uint8Array): void {
    if (this.#ended) return;
    encodeCopyData(this.#writer, payload);
    this.#socket.write(this.#writer.take());
  }

  pause(): void {
    this.#socket.pause();
  }
  resume(): void {
    this.#socket.resume();
  }

  /** Calls `listener` once, when the session ends; at once if it has ended. */
  onEnd(listener: () => void): void {
    if (this.#ended) listener();
    else this.#closeListeners.add(listener);
  }

  /** Sends Terminate after everything that was sent before; the server then closes the stream. */
  terminate(): void {
    if (this.#ended) return;
    encodeTerminate(this.#writer);
    this.#socket.write(this.#writer.take());
  }

  /** Ends the session at once; what is under way fails with `error`. */
  destroy(error: Error = this.#closed()): void {
    this.#end(error);
  }

  #ask(sql: string, ends: Pending['ends'], copy: CopyReader | undefined): Promise<readonly TextRow[]> {
    assert(this.#pending === undefined, 'a session runs one statement at a time');
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    encodeQuery(this.#writer, sql);
    return new Promise((resolve, reject) => {
      this.#pending = { rows: [], copy, ends, copied: false, error: undefined, resolve, reject };
      this.#socket.write(this.#writer.take());
    });
  }

  #receive(chunk: Buffer): void {
    this.#received += chunk.length;
    try {
      this.#frames.push(chunk);
      while (!this.#ended && this.#frames.next()) this.#message(this.#frames.type, this.#frames.payload);
      if (!this.#ended) (this.#stream ?? this.#pending?.copy)?.onChunkEnd?.();
    } catch (error) {
      // The bytes are not the protocol, or the reader of the copy has failed: the rest of the stream has no reader.
      this.#end(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #message(type: number, payload: Buffer): void {
    const pending = this.#pending;
    switch (type) {
      case BackendMessage.CopyData:
        (this.#stream ?? pending?.copy)?.onData(payload, this.#frames.oversize);
        return;
      case BackendMessage.DataRow: {
        const row = decodeDataRow(payload).map((value) => value?.toString('utf8') ?? null);
        if (pending?.copy?.onRow !== undefined) pending.copy.onRow(row);
        else pending?.rows.push(row);
        return;
      }
      case BackendMessage.CopyBothResponse:
        if (pending?.ends === 'copy-both') {
          this.#stream = pending.copy;
          this.#settle();
        }
        return;
      case BackendMessage.CopyDone:
        if (this.#stream !== undefined) throw new ProtocolError('the server ended the stream');
        if (pending !== undefined) pending.copied = true;
        return;
      case BackendMessage.ReadyForQuery:
        this.#settle();
        return;
      case BackendMessage.ErrorResponse: {
        const error = decodeErrorResponse(payload);
        if (pending !== undefined && !error.fatal) pending.error ??= error;
        else this.#end(error);
        return;
      }
      default:
        // Row descriptions, command tags, notices, parameter reports: no caller of this session reads them.
        return;
    }
  }

  #settle(): void {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending === undefined) return;
    const { copy, ends, copied } = pending;
    if (pending.error !== undefined) pending.reject(pending.error);
    else if (copy !== undefined && ends === 'ready' && !copied) {
      pending.reject(new ProtocolError('the server completed a copy that has not ended'));
    } else pending.resolve(pending.rows);
  }

  #end(error: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    const pending = this.#pending;
    this.#pending = undefined;
    // What the server said last is the reason; that the stream ends only follows from it.
    this.#failure = pending?.error ?? error;
    this.#socket.destroy();
    pending?.reject(this.#failure);
    for (const listener of this.#closeListeners) listener();
    this.#closeListeners.clear();
  }
}
