import type { Socket } from 'node:net';
import {
  type Cancellation,
  type Catalog,
  type Clock,
  Deadline,
  DormouseError,
  type KeyId,
  type KeyRecord,
  type Logger,
  type RandomBytes,
} from '../../base/index.ts';
import type { Hold, Instance } from '../../instance/index.ts';
import { openServerSession, type Reached, reachServer, type ServerSession } from '../../pool/index.ts';
import type { Connect } from '../../session/index.ts';
import {
  ByteWriter,
  encodeBackendKeyData,
  encodeParameterStatus,
  encodeReadyForQuery,
  PROTOCOL_3_2,
} from '../../wire/index.ts';
import type { CancelKey } from './cancel-keys.ts';
import type { Place } from './database-sessions.ts';
import { isMissing, MAIN_DATABASE, missingDatabase, serverParameters, wantedDatabase } from './login/index.ts';
import { Relay } from './relay/index.ts';

/** The bytes of a cancel key: protocol 3.0 has room for 4, and Postgres uses 32 since 3.2. */
const CANCEL_KEY_BYTES = 4;
const LONG_CANCEL_KEY_BYTES = 32;

export interface SessionOptions {
  readonly client: Socket;
  /** Fires if the client leaves before the session is open. */
  readonly cancellation: Cancellation;
  /** Called when the session takes the client's stream over, which is paused then. */
  readonly takeOver: () => void;
  readonly key: KeyRecord;
  readonly version: number;
  readonly parameters: ReadonlyMap<string, string>;
  readonly instance: Instance;
  /** Left when the backend is gone, or if no session is opened. */
  readonly place: Place;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly connect: Connect;
  readonly wakeMs: number;
  readonly listenKeepsAwake: () => boolean;
  /** Makes a cancel key of so many bytes that no other session with this process id has. */
  readonly newSecret: (processId: number, bytes: number) => Uint8Array;
  /** Work that must be done before these bytes go to the server, if any. Never rejects. */
  readonly before: (chunk: Buffer) => Promise<void> | undefined;
  /** Called when a transaction that may have changed a table is committed. */
  readonly schemaChanged: () => void;
  readonly log: Logger;
  /** Called once, when the opened session no longer serves its client. */
  readonly onEnd: (session: Session) => void;
}

/** A client that has logged in, its backend, and the relay between them. */
export class Session implements CancelKey {
  readonly client: Socket;
  readonly keyId: KeyId;
  /** The process id of the backend, as `pg_backend_pid()` gives it. */
  readonly processId: number;
  readonly secretKey: Uint8Array;
  readonly #cancelServer: () => Promise<void>;
  readonly #relay: Relay;

  /**
   * Wakes the database, opens a backend as the key's role and lets the client go on. Fails with what `Instance.hold`
   * fails with, `PostgresError`, `permission_denied`, `version_unsupported`.
   */
  static async open(options: SessionOptions): Promise<Session> {
    const { parameters, catalog, key } = options;
    const registered = options.instance.openSession();
    const left: Promise<void>[] = [];
    try {
      const wanted = wantedDatabase(parameters, key.role, catalog.database(key.databaseId)?.name);
      const { user, database } = options.instance.credentials(key.role);
      const toDatabase = (name: string): Map<string, string> =>
        serverParameters(parameters, user, name === MAIN_DATABASE ? database : name);
      // Parameters that are refused are refused before the database is woken.
      const first = toDatabase(wanted.name);
      const reached = await reach(options, first, left).catch((error: unknown) => {
        if (!isMissing(error)) throw error;
        if (wanted.ownName) return reach(options, toDatabase(MAIN_DATABASE), left);
        throw missingDatabase(error, wanted.name);
      });
      return new Session(options, registered, reached);
    } catch (error) {
      registered.release();
      if (left.length > 0) options.place.leaving();
      void Promise.all(left).then(() => options.place.leave());
      throw error;
    }
  }

  private constructor(options: SessionOptions, registered: Hold, { reached, hold }: Reached<ServerSession>) {
    const { client, instance, clock, catalog, key } = options;
    const { opened } = reached;
    const { socket, processId } = opened;
    this.client = client;
    this.keyId = key.id;
    this.processId = processId;
    const bytes = options.version >= PROTOCOL_3_2 ? LONG_CANCEL_KEY_BYTES : CANCEL_KEY_BYTES;
    this.secretKey = options.newSecret(processId, bytes);
    this.#cancelServer = reached.cancel;
    const writer = new ByteWriter();
    for (const [name, value] of opened.parameters) encodeParameterStatus(writer, name, value);
    encodeBackendKeyData(writer, this.processId, this.secretKey);
    encodeReadyForQuery(writer, 'I');
    options.takeOver();
    client.write(writer.take());
    this.#relay = new Relay({
      client,
      server: socket,
      instance,
      hold,
      clock,
      wakeMs: options.wakeMs,
      before: options.before,
      check: () => {
        if (catalog.key(key.id)?.revoked !== false) throw new DormouseError('key_revoked');
      },
      count: (statements) => catalog.count(key.id, key.databaseId, statements),
      schemaChanged: options.schemaChanged,
      listenKeepsAwake: options.listenKeepsAwake,
      stateOfServer: () => instance.backends.stateOf(processId),
      onLeaving: () => options.place.leaving(),
      endServer: (busy, held) => {
        options.place.leaving();
        void reached.end(busy, held).then(() => options.place.leave());
      },
      onEnd: () => {
        registered.release();
        options.onEnd(this);
      },
    });
  }

  /** Cancels the statement that runs. An idle session has nothing to cancel, and its database may be asleep. */
  async cancel(): Promise<void> {
    if (!this.#relay.idle) await this.#cancelServer();
  }

  end(reason: DormouseError): void {
    this.#relay.end(reason);
  }
}

/** Takes a hold and opens a session in the server. `left` gets the ends of backends whose start-up was given up. */
function reach(
  options: SessionOptions,
  parameters: ReadonlyMap<string, string>,
  left: Promise<void>[],
): Promise<Reached<ServerSession>> {
  const { instance, connect, clock, random, log, cancellation, key } = options;
  const { password } = instance.credentials(key.role);
  const deadline = Deadline.in(clock, options.wakeMs);
  return reachServer({
    instance,
    clock,
    deadline,
    attempt: async () => {
      if (cancellation.cancelled) throw new DormouseError('interrupted');
      const server = { instance, connect, clock, random, log };
      return openServerSession({ ...server, parameters, password, deadline, cancellation, left });
    },
    late: (error) => new DormouseError('wake_timeout', { cause: error }),
  });
}
