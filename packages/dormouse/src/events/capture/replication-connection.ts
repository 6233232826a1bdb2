import type { Duplex } from 'node:stream';
import { assert, DormouseError } from '../../base/index.ts';
import { type Endpoint, REPLICATION_ROLE } from '../../instance/index.ts';
import {
  Authentication,
  Backend,
  ByteWriter,
  decodeAuthentication,
  decodeDataRow,
  decodeErrorResponse,
  decodeParameterStatus,
  encodeCopyData,
  encodeQuery,
  encodeStartup,
  encodeTerminate,
  FrameReader,
  PROTOCOL_3_0,
  ProtocolError,
} from '../../wire/index.ts';

/** Opens a byte stream to a server; `error` and `close` events tell of its end. */
export type Connect = (endpoint: Endpoint) => Duplex;

/** The main database of every server. */
const MAIN_DATABASE = 'postgres';

/**
 * Of a change over this only the beginning is read, enough for its table and, mostly, its key: it would be more memory
 * than a database's share, and an event carries less.
 */
const FRAME_BYTES_MAX = 16 * 1024 * 1024;
const BEGINNING_BYTES = 256 * 1024;

/**
 * Settings of the session, over whatever the tenant set for his database. `wal_sender_timeout`: with the default a
 * walsender that was frozen for a minute is ended on thaw (our own watchdog stands in). The formats are what `pg-text`
 * and `type-names` read: with this search_path every type and name of a tenant's is printed with its schema.
 */
const SESSION_SETTINGS: readonly (readonly [string, string])[] = [
  ['wal_sender_timeout', '0'],
  ['role', 'none'],
  ['search_path', 'pg_catalog,pg_temp'],
  ['quote_all_identifiers', 'off'],
  // One that is not there would end every connection at its start.
  ['local_preload_libraries', ''],
  ['statement_timeout', '0'],
  ['lock_timeout', '0'],
  ['idle_session_timeout', '0'],
  ['idle_in_transaction_session_timeout', '0'],
  ['default_transaction_read_only', 'off'],
  ['standard_conforming_strings', 'on'],
  ['DateStyle', 'ISO'],
  ['IntervalStyle', 'postgres'],
  ['TimeZone', 'UTC'],
  ['bytea_output', 'hex'],
  ['extra_float_digits', '1'],
  ['lc_monetary', 'C'],
];

/**
 * The major version that brought a limit of time that a tenant may have set; an older server takes no login that names
 * it.
 */
const TRANSACTION_TIMEOUT_SINCE = 17;

export type QueryRow = readonly (string | null)[];

interface PendingQuery {
  readonly rows: QueryRow[];
  readonly resolve: (rows: readonly QueryRow[]) => void;
  readonly reject: (error: Error) => void;
  error: Error | undefined;
}

export interface ReplicationHandlers {
  /** One CopyData payload; `cut`: it was over the bound, and this is its beginning. */
  onData(payload: Buffer, cut: boolean): void;
  /** After all messages of one chunk. */
  onChunkEnd(): void;
}

/** One connection of capture: plain statements first, then the stream. Not reused after either fails. */
export class ReplicationConnection {
  readonly #socket: Duplex;
  readonly #frames = new FrameReader({
    payloadBytesMax: FRAME_BYTES_MAX,
    oversize: 'skip',
    keptBytes: BEGINNING_BYTES,
  });
  readonly #writer = new ByteWriter();
  #pending: PendingQuery | undefined;
  #handlers: ReplicationHandlers | undefined;
  #streaming = false;
  #failure: Error | undefined;
  #closed = false;
  #received = 0;
  #major = 0;
  readonly #closeListeners = new Set<() => void>();

  private constructor(socket: Duplex) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#onChunk(chunk));
    socket.on('error', (error) => this.#end(error));
    socket.on('close', () => this.#end(new DormouseError('database_stopped')));
  }

  /**
   * Connects and logs in to the main database, as a role that streams WAL and may do nothing else. `replication` gives
   * a walsender, which takes statements too.
   */
  static async open(
    connect: Connect,
    endpoint: Endpoint,
    replication: boolean,
    user: string = REPLICATION_ROLE,
    database: string = MAIN_DATABASE,
  ): Promise<ReplicationConnection> {
    const connection = new ReplicationConnection(connect(endpoint));
    const options = SESSION_SETTINGS.map(([name, value]) => `-c ${name}=${value}`).join(' ');
    const parameters: [string, string][] = [
      ['user', user],
      ['database', database],
      ['application_name', 'dormouse-events'],
      ['client_encoding', 'UTF8'],
      ['options', options],
    ];
    if (replication) parameters.push(['replication', 'database']);
    encodeStartup(connection.#writer, PROTOCOL_3_0, parameters);
    await connection.#ask();
    if (connection.#major >= TRANSACTION_TIMEOUT_SINCE) await connection.query('SET transaction_timeout = 0');
    return connection;
  }

  /** The server's major version. */
  get major(): number {
    return this.#major;
  }
  /** Bytes seen so far: what a watchdog looks at. */
  get received(): number {
    return this.#received;
  }
  get closed(): boolean {
    return this.#closed;
  }

  /** Runs one or more statements by the simple protocol; gives the rows of all of them. */
  async query(sql: string): Promise<readonly QueryRow[]> {
    encodeQuery(this.#writer, sql);
    return this.#ask();
  }

  /** Sends START_REPLICATION; resolves when the stream has begun. */
  async stream(sql: string, handlers: ReplicationHandlers): Promise<void> {
    this.#handlers = handlers;
    encodeQuery(this.#writer, sql);
    await this.#ask();
    // A stream may begin and fail in one chunk.
    if (this.#failure !== undefined) throw this.#failure;
    assert(this.#streaming, 'START_REPLICATION opens a stream');
  }

  /** Sends one CopyData message. */
  send(payload: Uint8Array): void {
    if (this.#closed) return;
    encodeCopyData(this.#writer, payload);
    this.#socket.write(this.#writer.take());
  }

  pause(): void {
    this.#socket.pause();
  }
  resume(): void {
    this.#socket.resume();
  }

  /** Calls `listener` once at the end (at once if it has come). */
  onClose(listener: () => void): void {
    if (this.#closed) listener();
    else this.#closeListeners.add(listener);
  }

  /** Why it ended. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Says goodbye after all that was sent; the server then closes. */
  terminate(): void {
    if (this.#closed) return;
    encodeTerminate(this.#writer);
    this.#socket.write(this.#writer.take());
  }

  destroy(): void {
    this.#socket.destroy();
    this.#end(new DormouseError('database_stopped'));
  }

  #ask(): Promise<readonly QueryRow[]> {
    assert(this.#pending === undefined, 'one statement at a time');
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#pending = { rows: [], resolve, reject, error: undefined };
      this.#socket.write(this.#writer.take());
    });
  }

  #onChunk(chunk: Buffer): void {
    this.#received += chunk.length;
    try {
      this.#frames.push(chunk);
      while (!this.#closed && this.#frames.next()) this.#onFrame();
      if (this.#streaming && !this.#closed) this.#handlers?.onChunkEnd();
    } catch (error) {
      this.#socket.destroy();
      this.#end(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #onFrame(): void {
    const { type, payload } = this.#frames;
    switch (type) {
      case Backend.CopyData:
        this.#handlers?.onData(payload, this.#frames.oversize);
        return;
      case Backend.ParameterStatus: {
        const { name, value } = decodeParameterStatus(payload);
        if (name === 'server_version') this.#major = Number.parseInt(value, 10);
        return;
      }
      case Backend.DataRow:
        this.#pending?.rows.push(decodeDataRow(payload).map((value) => value?.toString('utf8') ?? null));
        return;
      case Backend.CopyBothResponse:
        this.#streaming = true;
        this.#settle();
        return;
      case Backend.ReadyForQuery:
        this.#settle();
        return;
      case Backend.ErrorResponse: {
        const error = decodeErrorResponse(payload);
        if (this.#pending !== undefined && !error.fatal) this.#pending.error = error;
        else this.#end(error);
        return;
      }
      case Backend.CopyDone:
        throw new ProtocolError('the server ended the stream');
      case Backend.Authentication: {
        const { kind } = decodeAuthentication(payload);
        if (kind !== Authentication.Ok) throw new ProtocolError(`the private socket asks for a password (${kind})`);
        return;
      }
      default:
        // Keys, row descriptions, tags, notices: nothing here needs them.
        return;
    }
  }

  #settle(): void {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending?.error !== undefined) pending.reject(pending.error);
    else pending?.resolve(pending.rows);
  }

  #end(error: Error): void {
    this.#failure ??= error;
    if (this.#closed) return;
    this.#closed = true;
    this.#streaming = false;
    this.#socket.destroy();
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.reject(this.#failure);
    for (const listener of this.#closeListeners) listener();
    this.#closeListeners.clear();
  }
}
