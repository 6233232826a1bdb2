import { createServer, type Server, type Socket } from 'node:net';
import {
  Cancellation,
  type Catalog,
  type Clock,
  type DatabaseId,
  DormouseError,
  type KeyId,
  type KeyRecord,
  type Logger,
  type RandomBytes,
} from '../../base/index.ts';
import type { Instance } from '../../instance/index.ts';
import type { SchemaChanges } from '../../pool/index.ts';
import { type Connect, connectSocket } from '../../session/index.ts';
import type { OpenPort } from '../listen/index.ts';
import { type CancelKey, CancelKeys } from './cancel-keys.ts';
import { DatabaseSessions, type Place } from './database-sessions.ts';
import { HungUp, type Login, LoginStream, login, Verifiers } from './login/index.ts';
import { encodeRefusal } from './refusal.ts';
import { Session } from './session.ts';

/** Each bound is a flag of `dormouse start`. */
export interface PostgresDoorLimits {
  /** Sessions per database; each is a backend of 2 to 5 MB. */
  readonly sessionsMax: number;
  /** Connections of the door, logged in or not. */
  readonly connectionsMax: number;
  /** The time from the accepted connection to the proven password. */
  readonly loginMs: number;
  /** How long a login or a message waits for the database to wake. */
  readonly wakeMs: number;
}

export const POSTGRES_DOOR_LIMITS: PostgresDoorLimits = {
  sessionsMax: 20,
  connectionsMax: 1_000,
  loginMs: 30_000,
  wakeMs: 60_000,
};

/** The time that a refused client has to read the reason. */
const REFUSED_MS = 1_000;

/**
 * How long the answer to a cancel request with a wrong key takes; meanwhile it counts as one of the door's connections.
 */
const WRONG_KEY_MS = 1_000;

/** What the door needs of a database. */
export interface DoorDatabase {
  readonly instance: Instance;
  /** Notes what sessions change, so that pooled connections prepare their statements again. */
  readonly schemaChanges?: SchemaChanges;
}

export interface PostgresDoorOptions {
  readonly catalog: Catalog;
  /** The database of a key, or undefined once it is deleted. */
  database(id: DatabaseId): DoorDatabase | undefined;
  readonly limits?: Partial<PostgresDoorLimits>;
  /**
   * Whether a session that has run LISTEN keeps its database awake, for databases that have no such setting of their
   * own.
   */
  readonly listenKeepsAwake?: boolean;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly connect?: Connect;
}

export interface PostgresDoor {
  /** Serves the connections of an open port; those that wait there come first. */
  listen(port: OpenPort): Promise<void>;
  /**
   * Ends the sessions of a key that was revoked. Without this call, each ends when its next message comes while it is
   * idle.
   */
  endSessions(keyId: KeyId): void;
  /** Ends all sessions with 57P01 and stops listening. */
  close(): Promise<void>;
  readonly stats: { readonly connections: number; readonly sessions: number };
}

/** The TCP door: it serves any Postgres client, with one backend per session. */
export function createPostgresDoor(options: PostgresDoorOptions): PostgresDoor {
  return new Door(options);
}

class Door implements PostgresDoor {
  readonly #options: PostgresDoorOptions;
  readonly #limits: PostgresDoorLimits;
  readonly #connect: Connect;
  readonly #verifiers: Verifiers;
  readonly #server: Server;
  readonly #connections = new Set<Socket>();
  readonly #databases = new Map<Instance, DatabaseSessions>();
  readonly #sessions = new Set<Session>();
  readonly #cancelKeys: CancelKeys<Session>;
  #closing = false;

  constructor(options: PostgresDoorOptions) {
    this.#options = options;
    this.#limits = { ...POSTGRES_DOOR_LIMITS, ...options.limits };
    this.#connect = options.connect ?? connectSocket;
    this.#cancelKeys = new CancelKeys(options.random);
    this.#verifiers = new Verifiers(options.catalog, options.random);
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) => {
      void this.#accept(socket);
    });
  }

  get stats(): { readonly connections: number; readonly sessions: number } {
    return { connections: this.#connections.size, sessions: this.#sessions.size };
  }

  listen(port: OpenPort): Promise<void> {
    return port.handTo(this.#server);
  }

  endSessions(keyId: KeyId): void {
    for (const session of [...this.#sessions]) {
      if (session.keyId === keyId) session.end(new DormouseError('key_revoked'));
    }
  }

  async close(): Promise<void> {
    this.#closing = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const sessions = [...this.#sessions];
    const clients = new Set(sessions.map((session) => session.client));
    for (const session of sessions) session.end(new DormouseError('shutting_down'));
    for (const socket of this.#connections) if (!clients.has(socket)) socket.destroy();
    await closed;
  }

  async #accept(socket: Socket): Promise<void> {
    const { log, clock } = this.#options;
    socket.on('error', () => socket.destroy());
    if (this.#closing || this.#connections.size >= this.#limits.connectionsMax) {
      this.#refuse(socket, new DormouseError(this.#closing ? 'shutting_down' : 'connections_exhausted'));
      return;
    }
    this.#connections.add(socket);
    socket.once('close', () => this.#connections.delete(socket));
    const stream = new LoginStream(socket);
    const timer = clock.after(this.#limits.loginMs, () =>
      stream.abort(new DormouseError('body_timeout', { message: 'The login was not finished in time.' })),
    );
    try {
      const client = await login(socket, stream, {
        catalog: this.#options.catalog,
        verifiers: this.#verifiers,
        random: this.#options.random,
      });
      timer.cancel();
      if (client.kind === 'cancel') {
        stream.detach();
        await this.#cancel(client);
        socket.end();
        socket.resume();
      } else {
        const cancellation = new Cancellation();
        stream.wait(() => cancellation.cancel());
        await this.#open(socket, client, cancellation, () => stream.detach());
      }
    } catch (error) {
      timer.cancel();
      stream.detach();
      if (error instanceof HungUp) {
        socket.destroy();
        return;
      }
      log.log('info', 'postgres connection refused', { reason: (error as Error).message });
      this.#refuse(socket, error);
    }
  }

  #refuse(socket: Socket, error: unknown): void {
    if (socket.destroyed) return;
    socket.end(encodeRefusal(error));
    socket.resume();
    const cut = this.#options.clock.after(REFUSED_MS, () => socket.destroy());
    socket.once('end', () => socket.destroy());
    socket.once('close', () => cut.cancel());
  }

  async #open(
    socket: Socket,
    login: Extract<Login, { kind: 'session' }>,
    cancellation: Cancellation,
    takeOver: () => void,
  ): Promise<void> {
    const { key } = login;
    const { database, place } = await this.#enter(key);
    const session = await Session.open({
      client: socket,
      cancellation,
      takeOver,
      key,
      version: login.version,
      parameters: login.parameters,
      instance: database.instance,
      place,
      catalog: this.#options.catalog,
      clock: this.#options.clock,
      random: this.#options.random,
      log: this.#options.log,
      connect: this.#connect,
      wakeMs: this.#limits.wakeMs,
      newSecret: (processId, bytes) => this.#cancelKeys.newSecret(processId, bytes),
      listenKeepsAwake: () =>
        this.#options.catalog.database(key.databaseId)?.rest?.listenKeepsAwake ??
        this.#options.listenKeepsAwake ??
        false,
      // Only an owner may make a database.
      before: (chunk) => (key.role === 'owner' ? database.template0.before(chunk) : undefined),
      schemaChanged: () => this.#options.database(key.databaseId)?.schemaChanges?.note(),
      onEnd: (ended) => {
        this.#sessions.delete(ended);
        this.#cancelKeys.delete(ended);
        database.sessions.delete(ended);
      },
    });
    this.#sessions.add(session);
    this.#cancelKeys.add(session);
    database.sessions.add(session);
    if (this.#closing) session.end(new DormouseError('shutting_down'));
    // The key was revoked during the login.
    else if (this.#options.catalog.key(key.id)?.revoked !== false) session.end(new DormouseError('key_revoked'));
  }

  /** Takes a place among the sessions of the key's database. */
  async #enter(key: KeyRecord): Promise<{ readonly database: DatabaseSessions; readonly place: Place }> {
    const instance = this.#options.database(key.databaseId)?.instance;
    if (instance === undefined) throw new DormouseError('database_deleted');
    let database = this.#databases.get(instance);
    if (database === undefined) {
      const { clock, log } = this.#options;
      const { sessionsMax, wakeMs } = this.#limits;
      const onEmpty = (): void => void this.#databases.delete(instance);
      database = new DatabaseSessions({ instance, clock, log, sessionsMax, wakeMs, onEmpty });
      this.#databases.set(instance, database);
    }
    return { database, place: await database.enter() };
  }

  /**
   * Process ids are small numbers that are easily guessed: a wrong key is answered late, so that guessing takes years.
   */
  async #cancel(request: CancelKey): Promise<void> {
    const session = this.#cancelKeys.find(request.processId, request.secretKey);
    if (session === undefined) await new Promise<void>((resolve) => this.#options.clock.after(WRONG_KEY_MS, resolve));
    else await session.cancel();
  }
}
