import { DormouseError } from '../../base/index.ts';
import { REPLICATION_ROLE } from '../../instance/index.ts';
import { type Connect, type CopyReader, type Endpoint, SimpleSession, type TextRow } from '../../session/index.ts';

export type { Connect };

/** The main database of every server. */
const MAIN_DATABASE = 'postgres';

/**
 * A change over this size is read only at its beginning, which is enough for its table and, mostly, its key: the whole
 * change would take more memory than one database's share, and an event carries less.
 */
const FRAME_BYTES_MAX = 16 * 1024 * 1024;
const BEGINNING_BYTES = 256 * 1024;

export type QueryRow = TextRow;

export interface ReplicationHandlers extends CopyReader {
  /** Called after all messages of one chunk. */
  onChunkEnd(): void;
}

const stopped = (): DormouseError => new DormouseError('database_stopped');

/** One connection of capture: first plain statements, then the stream. It is not used again after either has failed. */
export class ReplicationConnection {
  readonly #session: SimpleSession;

  private constructor(session: SimpleSession) {
    this.#session = session;
  }

  /**
   * Connects and logs in to the main database, by default as a role that streams WAL and may do nothing else.
   * `replication` gives a walsender, which takes statements too.
   */
  static async open(
    connect: Connect,
    endpoint: Endpoint,
    replication: boolean,
    user: string = REPLICATION_ROLE,
    database: string = MAIN_DATABASE,
  ): Promise<ReplicationConnection> {
    const parameters: [string, string][] = [
      ['user', user],
      ['database', database],
      ['application_name', 'dormouse-events'],
    ];
    if (replication) parameters.push(['replication', 'database']);
    const session = await SimpleSession.open(connect(endpoint), {
      parameters,
      kind: 'replication',
      frames: { payloadBytesMax: FRAME_BYTES_MAX, oversize: 'skip', keptBytes: BEGINNING_BYTES },
      closed: stopped,
    });
    return new ReplicationConnection(session);
  }

  /** The server's major version. */
  get major(): number {
    return this.#session.major;
  }
  /** The number of bytes that have come so far, for a watchdog. */
  get received(): number {
    return this.#session.received;
  }
  get closed(): boolean {
    return this.#session.ended;
  }
  /** Why the connection ended. */
  get failure(): Error | undefined {
    return this.#session.failure;
  }

  /** Runs one or more statements by the simple protocol; gives the rows of all of them. */
  query(sql: string): Promise<readonly QueryRow[]> {
    return this.#session.query(sql);
  }

  /** Sends START_REPLICATION; resolves when the stream has begun. */
  stream(sql: string, handlers: ReplicationHandlers): Promise<void> {
    return this.#session.copyBoth(sql, handlers);
  }

  /** Sends one CopyData message. */
  send(payload: Uint8Array): void {
    this.#session.send(payload);
  }

  pause(): void {
    this.#session.pause();
  }
  resume(): void {
    this.#session.resume();
  }

  /** Calls `listener` once, when the connection ends; at once if it has ended. */
  onClose(listener: () => void): void {
    this.#session.onEnd(listener);
  }

  /** Sends Terminate after everything that was sent before; the server then closes the stream. */
  terminate(): void {
    this.#session.terminate();
  }

  destroy(): void {
    this.#session.destroy();
  }
}
