import type { Socket } from 'node:net';
import { connectSocket, SimpleSession, sendCancelRequest, type TextRow } from '../../session/index.ts';
import type { Endpoint } from '../contract/index.ts';
import { MAINTENANCE_ROLE } from './roles.ts';

/** The rows that administration reads are names and numbers, far below this size. */
const PAYLOAD_BYTES_MAX = 64 * 1024;

/** The database for questions about the whole server: no tenant can create anything in it. */
export const NEUTRAL_DATABASE = 'template1';

export type { TextRow };

const closedByServer = (): Error => new Error('the server has closed the connection');

/**
 * A session of one of the platform's own roles, for questions and administration inside a server. It runs one statement
 * after the other.
 */
export class AdminSession {
  readonly #endpoint: Endpoint;
  readonly #user: string;
  readonly #socket: Socket;
  readonly #session: SimpleSession;

  /**
   * Rejects with `PostgresError`, or an `Error` of the socket. A server that is silent for `silenceMs`, now or later,
   * ends the session.
   */
  static async open(
    endpoint: Endpoint,
    database: string,
    silenceMs: number,
    user: string = MAINTENANCE_ROLE,
  ): Promise<AdminSession> {
    const socket = connectSocket(endpoint);
    socket.unref();
    socket.setTimeout(silenceMs, () => socket.destroy(new Error('the server is silent')));
    const session = await SimpleSession.open(socket, {
      parameters: [
        ['user', user],
        ['database', database],
      ],
      kind: 'administration',
      frames: { payloadBytesMax: PAYLOAD_BYTES_MAX },
      closed: closedByServer,
    });
    return new AdminSession(endpoint, user, socket, session);
  }

  private constructor(endpoint: Endpoint, user: string, socket: Socket, session: SimpleSession) {
    this.#endpoint = endpoint;
    this.#user = user;
    this.#socket = socket;
    this.#session = session;
  }

  /** The server's major version. */
  get major(): number {
    return this.#session.major;
  }

  /**
   * Gives the rows of all its statements together. Rejects with `PostgresError`; the session goes on if the server lets
   * it.
   */
  query(sql: string): Promise<readonly TextRow[]> {
    return this.#session.query(sql);
  }

  /** Asks the server to cancel the statement that runs. */
  cancel(): void {
    void sendCancelRequest(() => connectSocket(this.#endpoint), this.#session);
  }

  /**
   * Ends the session from another session, whatever it does: a tenant's function can catch a cancel request, but not
   * this. Never rejects.
   */
  async terminate(timeoutMs: number): Promise<void> {
    try {
      const other = await AdminSession.open(this.#endpoint, NEUTRAL_DATABASE, timeoutMs, this.#user);
      await other
        .query(`SELECT pg_catalog.pg_terminate_backend(${this.#session.processId}, ${timeoutMs})`)
        .finally(() => other.close());
    } catch {
      // The server is gone, or has no room for another session.
    } finally {
      this.destroy();
    }
  }

  /** Resolves when the server has closed the stream: the session's process no longer counts against its connections. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.closed) {
        resolve();
        return;
      }
      this.#socket.once('close', () => resolve());
      this.#session.terminate();
      this.#socket.end();
    });
  }

  destroy(): void {
    this.#session.destroy();
  }
}
