import type { Socket } from 'node:net';
import {
  type Catalog,
  type Clock,
  Deadline,
  DormouseError,
  type KeyId,
  type KeyRecord,
  type RandomBytes,
} from '../../base/index.ts';
import type { Hold, Instance } from '../../instance/index.ts';
import { type Connect, type OpenedSession, openSession, opensLater, sendCancelRequest } from '../../pool/index.ts';
import {
  ByteWriter,
  encodeBackendKeyData,
  encodeParameterStatus,
  encodeReadyForQuery,
  PROTOCOL_3_2,
} from '../../wire/index.ts';
import type { CancelKey } from './cancel-keys.ts';
import { isMissing, MAIN_DATABASE, missingDatabase, wantedDatabase } from './database-name.ts';
import { Relay } from './relay.ts';
import { serverParameters } from './startup-parameters.ts';

/** Between tries to reach a server that is just starting or ending. */
const RECONNECT_MS = 20;
/** Cancel keys: 4 bytes are what protocol 3.0 has room for, 32 what Postgres uses since 3.2. */
const CANCEL_KEY_BYTES = 4;
const LONG_CANCEL_KEY_BYTES = 32;

export interface SessionOptions {
  readonly client: Socket;
  readonly key: KeyRecord;
  readonly version: number;
  readonly parameters: ReadonlyMap<string, string>;
  readonly instance: Instance;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly connect: Connect;
  readonly wakeMs: number;
  readonly listenKeepsAwake: () => boolean;
  /** A cancel key of so many bytes that no other session has with this process id. */
  readonly newSecret: (processId: number, bytes: number) => Uint8Array;
  /** What must be done before these bytes go to the server, if anything. Never rejects. */
  readonly before: (chunk: Buffer) => Promise<void> | undefined;
  /** Called when what may have changed a table is committed. */
  readonly schemaChanged: () => void;
  /** Called once, after the session was opened. */
  readonly onEnd: (session: Session) => void;
}

/** A client that is logged in, its backend, and the relay between them. */
export class Session implements CancelKey {
  readonly client: Socket;
  readonly keyId: KeyId;
  /** The backend's, as `pg_backend_pid()` gives it. */
  readonly processId: number;
  readonly secretKey: Uint8Array;
  readonly #cancelServer: () => Promise<void>;
  readonly #relay: Relay;

  /**
   * Wakes the database, opens a backend as the key's role and lets the client go on.
   * Fails with what `Instance.hold` fails with, `PostgresError`, `permission_denied`, `version_unsupported`.
   */
  static async open(options: SessionOptions): Promise<Session> {
    const { parameters, catalog, key } = options;
    const wanted = wantedDatabase(parameters, key.role, catalog.database(key.databaseId)?.name);
    const toDatabase = (name: string): Map<string, string> => serverParameters(parameters, key.role, name);
    // Refused before anything is woken.
    const first = toDatabase(wanted.name);
    const place = options.instance.openSession();
    try {
      const { hold, opened } = await reach(options, first).catch((error: unknown) => {
        if (!isMissing(error)) throw error;
        if (wanted.ownName) return reach(options, toDatabase(MAIN_DATABASE));
        throw missingDatabase(error, wanted.name);
      });
      return new Session(options, place, hold, opened);
    } catch (error) {
      place.release();
      throw error;
    }
  }

  private constructor(options: SessionOptions, place: Hold, hold: Hold, opened: OpenedSession) {
    const { client, instance, connect, clock, catalog, key } = options;
    const { endpoint } = instance;
    this.client = client;
    this.keyId = key.id;
    this.processId = opened.processId;
    const bytes = options.version >= PROTOCOL_3_2 ? LONG_CANCEL_KEY_BYTES : CANCEL_KEY_BYTES;
    this.secretKey = options.newSecret(opened.processId, bytes);
    this.#cancelServer = () => sendCancelRequest(() => connect(endpoint), opened.processId, opened.secretKey, clock);
    const writer = new ByteWriter();
    for (const [name, value] of opened.parameters) encodeParameterStatus(writer, name, value);
    encodeBackendKeyData(writer, this.processId, this.secretKey);
    encodeReadyForQuery(writer, 'I');
    client.write(writer.take());
    this.#relay = new Relay({
      client,
      server: opened.socket,
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
      cancelServer: this.#cancelServer,
      onEnd: () => {
        place.release();
        options.onEnd(this);
      },
    });
  }

  /** Cancels what runs. An idle session has nothing to cancel, and its database may be asleep. */
  async cancel(): Promise<void> {
    if (!this.#relay.idle) await this.#cancelServer();
  }

  end(reason: DormouseError): void {
    this.#relay.end(reason);
  }
}

/** A hold and a backend, tried again while the server is between two lives. */
async function reach(
  options: SessionOptions,
  parameters: ReadonlyMap<string, string>,
): Promise<{ readonly hold: Hold; readonly opened: OpenedSession }> {
  const { instance, clock, random, client } = options;
  const deadline = Deadline.in(clock, options.wakeMs);
  for (;;) {
    const hold = instance.tryHold() ?? (await instance.hold(deadline));
    try {
      if (client.destroyed) throw new DormouseError('interrupted');
      const opened = await openSession(options.connect(instance.endpoint), { parameters, random, deadline });
      return { hold, opened };
    } catch (error) {
      hold.release();
      if (!opensLater(error)) throw error;
      if (deadline.remainingMs() <= RECONNECT_MS) throw new DormouseError('wake_timeout', { cause: error });
      await new Promise<void>((resolve) => clock.after(RECONNECT_MS, resolve));
    }
  }
}
