import { connect, type Socket } from 'node:net';
import {
  Backend,
  ByteWriter,
  decodeBackendKeyData,
  decodeDataRow,
  decodeErrorResponse,
  decodeParameterStatus,
  encodeCancelRequest,
  encodeQuery,
  encodeStartup,
  encodeTerminate,
  FrameReader,
  PROTOCOL_3_0,
} from '../../wire/index.ts';
import type { Endpoint } from '../contract/index.ts';
import { MAINTENANCE_ROLE } from './roles.ts';

/** A row of one of our own queries is names and numbers: far below. */
const PAYLOAD_BYTES_MAX = 64 * 1024;

/** What a tenant may have set for his database does not hold for us. */
const SETTINGS: readonly (readonly [string, string])[] = [
  // A database can be given a role to begin with, and then we would be him.
  ['role', 'none'],
  // What is temporary comes last: it is looked into first where it is not named.
  ['search_path', 'pg_catalog, pg_temp'],
  ['client_encoding', 'UTF8'],
  ['statement_timeout', '0'],
  ['lock_timeout', '0'],
  ['idle_in_transaction_session_timeout', '0'],
  ['idle_session_timeout', '0'],
  ['default_transaction_read_only', 'off'],
  ['vacuum_cost_delay', '0'],
  ['quote_all_identifiers', 'off'],
  ['local_preload_libraries', ''],
];

/**
 * The major version that brought a limit of time that a tenant may have set; an older server takes no login that names
 * it.
 */
const TRANSACTION_TIMEOUT_SINCE = 17;

/** What no tenant can make anything in: for questions about the whole server. */
export const NEUTRAL_DATABASE = 'template1';

/** A row, each column as text. */
export type TextRow = readonly (string | null)[];

interface Asked {
  readonly rows: TextRow[];
  error: Error | undefined;
  resolve(rows: readonly TextRow[]): void;
  reject(error: Error): void;
}

function dial(endpoint: Endpoint): Socket {
  return endpoint.kind === 'unix' ? connect({ path: endpoint.path }) : connect(endpoint.port, endpoint.host);
}

/** A session of one of our roles, for questions and work of our own, one statement after the other. */
export class AdminSession {
  readonly #endpoint: Endpoint;
  readonly #user: string;
  readonly #socket: Socket;
  readonly #reader = new FrameReader({ payloadBytesMax: PAYLOAD_BYTES_MAX });
  readonly #writer = new ByteWriter();
  #asked: Asked | undefined;
  #key: { readonly processId: number; readonly secretKey: Buffer } | undefined;
  #major = 0;

  /**
   * Rejects with `PostgresError`, or an `Error` of the socket. Silence for `silenceMs` ends the session, now and later.
   */
  static async open(
    endpoint: Endpoint,
    database: string,
    silenceMs: number,
    user: string = MAINTENANCE_ROLE,
  ): Promise<AdminSession> {
    const session = new AdminSession(endpoint, silenceMs, user);
    const ready = session.#wait();
    encodeStartup(session.#writer, PROTOCOL_3_0, [['user', user], ['database', database], ...SETTINGS]);
    session.#socket.write(session.#writer.take());
    await ready;
    if (session.#major >= TRANSACTION_TIMEOUT_SINCE) await session.query('SET transaction_timeout = 0');
    return session;
  }

  private constructor(endpoint: Endpoint, silenceMs: number, user: string) {
    this.#endpoint = endpoint;
    this.#user = user;
    this.#socket = dial(endpoint);
    this.#socket.unref();
    this.#socket.setTimeout(silenceMs, () => this.#end(new Error('the server is silent')));
    this.#socket.on('error', (error) => this.#end(error));
    this.#socket.on('close', () => this.#end(new Error('the server has closed the connection')));
    this.#socket.on('data', (chunk) => {
      try {
        this.#reader.push(chunk);
        while (this.#reader.next()) this.#take();
      } catch (error) {
        // Not the protocol: not our server.
        this.#end(error as Error);
      }
    });
  }

  /** The server's major version. */
  get major(): number {
    return this.#major;
  }

  /**
   * The rows of all its statements together. Rejects with `PostgresError`; the session goes on if the server lets it.
   */
  query(sql: string): Promise<readonly TextRow[]> {
    const rows = this.#wait();
    encodeQuery(this.#writer, sql);
    this.#socket.write(this.#writer.take());
    return rows;
  }

  /** Asks the server to break off what runs. */
  cancel(): void {
    if (this.#key === undefined) return;
    const socket = dial(this.#endpoint);
    socket.unref();
    // Best effort; the server closes it.
    socket.on('error', () => {});
    socket.resume();
    const writer = new ByteWriter();
    encodeCancelRequest(writer, this.#key.processId, this.#key.secretKey);
    socket.end(writer.take());
  }

  /**
   * Ends it from another session, whatever it does: a function of the tenant's may catch a cancellation, this it
   * cannot. Never rejects.
   */
  async terminate(timeoutMs: number): Promise<void> {
    const processId = this.#key?.processId;
    try {
      if (processId === undefined) return;
      const other = await AdminSession.open(this.#endpoint, NEUTRAL_DATABASE, timeoutMs, this.#user);
      await other
        .query(`SELECT pg_catalog.pg_terminate_backend(${processId}, ${timeoutMs})`)
        .finally(() => other.close());
    } catch {
      // The server is gone, or has no room for another session.
    } finally {
      this.destroy();
    }
  }

  /** Resolves when the server has let go of it: no process of it is left that counts. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.closed) {
        resolve();
        return;
      }
      this.#socket.once('close', () => resolve());
      encodeTerminate(this.#writer);
      this.#socket.end(this.#writer.take());
    });
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #wait(): Promise<readonly TextRow[]> {
    return new Promise((resolve, reject) => {
      this.#asked = { rows: [], error: undefined, resolve, reject };
    });
  }

  #take(): void {
    const { type, payload } = this.#reader;
    switch (type) {
      case Backend.BackendKeyData:
        this.#key = decodeBackendKeyData(payload);
        break;
      case Backend.ParameterStatus: {
        const { name, value } = decodeParameterStatus(payload);
        if (name === 'server_version') this.#major = Number.parseInt(value, 10);
        break;
      }
      case Backend.DataRow:
        this.#asked?.rows.push(decodeDataRow(payload).map((value) => value?.toString('utf8') ?? null));
        break;
      case Backend.ErrorResponse:
        if (this.#asked !== undefined) this.#asked.error ??= decodeErrorResponse(payload);
        break;
      case Backend.ReadyForQuery: {
        const asked = this.#asked;
        this.#asked = undefined;
        if (asked?.error === undefined) asked?.resolve(asked.rows);
        else asked.reject(asked.error);
        break;
      }
      default:
        break;
    }
  }

  #end(error: Error): void {
    this.#socket.destroy();
    const asked = this.#asked;
    this.#asked = undefined;
    // What the server said last is the reason; the closed socket only follows from it.
    asked?.reject(asked.error ?? error);
  }
}
