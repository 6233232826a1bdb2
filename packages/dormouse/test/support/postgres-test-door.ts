import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import {
  type Catalog,
  cryptoRandom,
  type DatabaseId,
  type KeyId,
  type KeyRecord,
  newKeyId,
  type Role,
  silentLogger,
  systemClock,
} from '../../src/base/index.ts';
import { createPostgresDoor, type PostgresDoor, type PostgresDoorLimits } from '../../src/front/postgres/index.ts';
import type { Instance } from '../../src/instance/index.ts';
import {
  ByteWriter,
  encodeSaslInitialResponse,
  encodeSaslResponse,
  encodeStartup,
  SCRAM_SHA_256,
  ScramClient,
} from '../../src/wire/index.ts';
import { type BareInstance, startBareInstance } from './bare-instance.ts';

/** A key as a test uses it. */
import { openDoor } from './open-door.ts';

export interface TestKey {
  readonly id: KeyId;
  readonly secret: string;
  /** `postgres://…` of the door. */
  readonly url: string;
  /** For `pg`. */
  readonly config: { host: string; port: number; user: string; password: string; database: string };
}

/** The TCP door in front of one server, with a catalog in memory. */
export interface OpenedDoor {
  readonly door: PostgresDoor;
  readonly port: number;
  /** Statements counted so far. */
  readonly counted: number;
  key(role: Role): TestKey;
  revoke(key: TestKey): void;
  close(): Promise<void>;
}

/** A door and the bare server behind it. */
export interface PostgresTestDoor extends OpenedDoor {
  readonly instance: BareInstance;
}

/** What Dormouse calls the database behind the door. */
export const DOOR_DATABASE = 'shop';

export async function openPostgresTestDoor(
  instance: Instance,
  limits: Partial<PostgresDoorLimits> | undefined,
): Promise<OpenedDoor> {
  const keys = new Map<KeyId, KeyRecord>();
  const secrets = new Map<KeyId, string>();
  let counted = 0;
  const catalog: Catalog = {
    database: (id) =>
      id === instance.databaseId
        ? { id, kind: 'managed', name: DOOR_DATABASE, pgMajor: 18, createdAtMs: 0 }
        : undefined,
    key: (id) => keys.get(id),
    secret: (id) => secrets.get(id),
    count(_key, _database, operations) {
      counted += operations;
    },
  };
  const door = createPostgresDoor({
    catalog,
    database: (id: DatabaseId): { instance: Instance } | undefined =>
      id === instance.databaseId ? { instance } : undefined,
    ...(limits === undefined ? {} : { limits }),
    log: silentLogger,
    clock: systemClock,
    random: cryptoRandom,
  });
  const port = await openDoor(door);
  return {
    door,
    port,
    get counted() {
      return counted;
    },
    key(role) {
      const id = newKeyId(cryptoRandom);
      const secret = Buffer.from(cryptoRandom(32)).toString('base64url');
      keys.set(id, { id, databaseId: instance.databaseId, role, revoked: false });
      secrets.set(id, secret);
      return {
        id,
        secret,
        url: `postgres://${id}:${secret}@127.0.0.1:${port}/postgres`,
        config: { host: '127.0.0.1', port, user: id, password: secret, database: 'postgres' },
      };
    },
    revoke(key) {
      keys.set(key.id, { ...(keys.get(key.id) as KeyRecord), revoked: true });
    },
    close: () => door.close(),
  };
}

export async function startPostgresTestDoor(
  options: { readonly limits?: Partial<PostgresDoorLimits> } = {},
): Promise<PostgresTestDoor> {
  const instance = await startBareInstance();
  const opened = await openPostgresTestDoor(instance, options.limits);
  return {
    door: opened.door,
    port: opened.port,
    get counted() {
      return opened.counted;
    },
    key: opened.key,
    revoke: opened.revoke,
    instance,
    async close() {
      await opened.close();
      await instance.remove();
    },
  };
}

/** A TCP connection that is read and written by hand. */
export class RawClient {
  readonly socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #ended = false;
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake?.();
    });
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('close', () => {
      this.#ended = true;
      this.#wake?.();
    });
  }

  static async open(port: number): Promise<RawClient> {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Exactly so many bytes. */
  async bytes(count: number): Promise<Buffer> {
    while (this.#received.length < count) {
      if (this.#ended) throw new Error(`closed after ${this.#received.length} of ${count} bytes`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const out = this.#received.subarray(0, count);
    this.#received = this.#received.subarray(count);
    return out;
  }

  /** The next message. */
  async frame(): Promise<{ readonly type: string; readonly payload: Buffer }> {
    const header = await this.bytes(5);
    return { type: String.fromCharCode(header[0] as number), payload: await this.bytes(header.readInt32BE(1) - 4) };
  }

  /** Messages up to one of the given type. */
  async until(type: string): Promise<{ readonly type: string; readonly payload: Buffer }[]> {
    const frames: { readonly type: string; readonly payload: Buffer }[] = [];
    for (;;) {
      const frame = await this.frame();
      frames.push(frame);
      if (frame.type === type) return frames;
    }
  }

  async closed(): Promise<void> {
    while (!this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.socket.destroy();
  }
}

/** Logs in by hand; gives what came between AuthenticationOk and the first ReadyForQuery. */
export async function rawLogin(
  client: RawClient,
  key: TestKey,
  version: number,
  parameters: readonly [string, string][] = [],
): Promise<{ type: string; payload: Buffer }[]> {
  const writer = new ByteWriter();
  encodeStartup(writer, version, [['user', key.id], ...parameters]);
  client.write(writer.take());
  const before: { type: string; payload: Buffer }[] = [];
  const scram = new ScramClient(key.secret, cryptoRandom(18));
  for (;;) {
    const frame = await client.frame();
    before.push(frame);
    if (frame.type === 'E') return before;
    if (frame.type !== 'R') continue;
    const kind = frame.payload.readInt32BE(0);
    const data = frame.payload.subarray(4).toString();
    if (kind === 10) encodeSaslInitialResponse(writer, SCRAM_SHA_256, scram.first());
    else if (kind === 11) encodeSaslResponse(writer, scram.proof(data));
    else if (kind === 12) scram.finish(data);
    if (writer.length > 0) client.write(writer.take());
    while (kind === 0) {
      // A refusal comes in place of ReadyForQuery.
      const next = await client.frame();
      before.push(next);
      if (next.type === 'Z' || next.type === 'E') return before;
    }
  }
}
