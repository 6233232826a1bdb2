import { join } from 'node:path';
import type { Clock, DatabaseRecord, Logger, RandomBytes, Role } from '../base/index.ts';
import { DormouseError, ROLES } from '../base/index.ts';
import type { Engine, EngineDatabase, EngineDatabaseOptions } from '../engine/index.ts';
import type { DatabaseEvents, Events } from '../events/index.ts';
import type { Instance } from '../instance/index.ts';
import { createPool, type Pool, SchemaChanges, StoredCode } from '../pool/index.ts';
import { connectSocket } from '../session/index.ts';

/** Uploaded Prisma schemas, in the database's own directory. */
const SCHEMA_FOLDER = 'schemas';

export interface DatabaseOptions {
  readonly record: DatabaseRecord;
  readonly instance: Instance;
  /** The database's own directory. */
  readonly directory: string;
  readonly engine: Engine;
  /** Undefined for a kind of database without events. */
  readonly events: Events | undefined;
  readonly publicUrl: string;
  readonly onOperation: EngineDatabaseOptions['onOperation'];
  readonly connectionsMax: number;
  readonly waitersMax: number;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Logger;
}

/** One open database on this machine: its server, connection pools, Prisma schemas, transactions and events. */
export class Database {
  readonly record: DatabaseRecord;
  readonly instance: Instance;
  readonly engine: EngineDatabase;
  readonly #events: DatabaseEvents | undefined;
  /** The pools and the TCP door note changes of tables here. */
  readonly schemaChanges: SchemaChanges = new SchemaChanges();
  readonly #pools: Readonly<Record<Role, Pool>>;
  readonly #detach: () => void;

  constructor(options: DatabaseOptions) {
    const { record, instance, directory, engine, clock, random, log, connectionsMax, waitersMax } = options;
    this.record = record;
    this.instance = instance;
    const { schemaChanges } = this;
    const storedCode = new StoredCode(schemaChanges, clock);
    const limits = { connectionsMax, waitersMax };
    const shared = { instance, clock, random, log, ...limits, connect: connectSocket, schemaChanges, storedCode };
    const pool = (role: Role): Pool => createPool({ ...shared, role });
    this.#pools = { owner: pool('owner'), writer: pool('writer'), reader: pool('reader') };
    this.engine = engine.openDatabase({
      databaseId: record.id,
      pool: (role) => this.#pools[role],
      schemaDirectory: join(directory, SCHEMA_FOLDER),
      publicUrl: options.publicUrl,
      onOperation: options.onOperation,
    });
    const { id: databaseId, throwAway = false } = record;
    this.#events = options.events?.openDatabase({
      databaseId,
      directory,
      instance,
      throwAway,
      ask: (sql) => this.#askIdle(sql),
    });
    this.#detach = this.#events === undefined ? () => {} : instance.attach(this.#events.attachment);
  }

  /** Fails with `streams_disabled` for a kind of database without events. */
  get events(): DatabaseEvents {
    if (this.#events === undefined) throw new DormouseError('streams_disabled');
    return this.#events;
  }

  /** Asks over an idle connection of any pool, because the server gives all roles the same answer. */
  async #askIdle(sql: string): Promise<string | undefined> {
    for (const role of ROLES) {
      const answer = await this.#pools[role].askIdle(sql);
      if (answer !== undefined) return answer;
    }
    return undefined;
  }

  /** Details for `dormouse db show` and the dashboard. */
  async describe(): Promise<Readonly<Record<string, unknown>>> {
    return {
      generation: this.instance.generation,
      pools: Object.fromEntries(ROLES.map((role) => [role, this.#pools[role].stats])),
      transactions: this.engine.openTransactions,
      events: (await this.#events?.status()) ?? null,
    };
  }

  /** Rolls back the transactions and closes the pools. The server keeps its state. */
  async closeClients(): Promise<void> {
    await this.engine.close();
    await Promise.all(ROLES.map((role) => this.#pools[role].close()));
  }

  /** Closes the event log. Must come after the server has ended, because capture writes until then. */
  async closeEvents(): Promise<void> {
    this.#detach();
    await this.#events?.close();
  }
}
