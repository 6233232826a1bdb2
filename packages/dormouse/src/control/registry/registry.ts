import { type FileHandle, open } from 'node:fs/promises';
import Database from 'libsql';
import {
  assert,
  type DatabaseId,
  type DatabaseKind,
  DormouseError,
  type KeyId,
  type LimitOverrides,
  type RestOverrides,
  type Role,
  sqlTransaction,
} from '../../base/index.ts';
import { diskError, sqliteError } from '../../instance/index.ts';

/** Where a database stands between its creation and its deletion. The fleet knows the state of its server. */
export type Lifecycle = 'creating' | 'ready' | 'deleting';

export interface DatabaseRow {
  readonly id: DatabaseId;
  readonly kind: DatabaseKind;
  readonly name: string;
  readonly pgMajor: number;
  readonly lifecycle: Lifecycle;
  readonly createdAtMs: number;
  /** Empty for a database without settings of its own. */
  readonly rest: RestOverrides;
  readonly limits: LimitOverrides;
  /** The database that this one is a branch of; it may be deleted since. Null for a database that is no branch. */
  readonly parentId: DatabaseId | null;
  /** The parent's name when the branch was made. */
  readonly parentName: string | null;
  /**
   * For a throw-away database the boot of the machine in which it was made: after another boot its files may be
   * incomplete. Null for any other database.
   */
  readonly throwAwayBoot: string | null;
}

export interface KeyRow {
  readonly id: KeyId;
  readonly databaseId: DatabaseId;
  readonly role: Role;
  readonly label: string | null;
  readonly createdAtMs: number;
  readonly revokedAtMs: number | null;
}

export interface UsageRow {
  readonly keyId: KeyId;
  readonly databaseId: DatabaseId;
  /** UTC: `2026-11-23`. */
  readonly day: string;
  readonly operations: number;
}

// Migrations go forward only. The index of a migration is the version of the schema before it, kept in user_version.
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE databases (
     id TEXT PRIMARY KEY,
     name TEXT NOT NULL UNIQUE,
     pg_major INTEGER NOT NULL,
     lifecycle TEXT NOT NULL CHECK (lifecycle IN ('creating', 'ready', 'deleting')),
     created_at_ms INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE keys (
     id TEXT PRIMARY KEY,
     database_id TEXT NOT NULL REFERENCES databases (id) ON DELETE CASCADE,
     role TEXT NOT NULL CHECK (role IN ('owner', 'writer', 'reader')),
     label TEXT,
     created_at_ms INTEGER NOT NULL,
     revoked_at_ms INTEGER
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX keys_by_database ON keys (database_id);
   CREATE TABLE usage (
     key_id TEXT NOT NULL,
     day TEXT NOT NULL,
     database_id TEXT NOT NULL,
     operations INTEGER NOT NULL,
     PRIMARY KEY (key_id, day)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX usage_by_database ON usage (database_id, day);`,
  // NULL: the platform's flags apply; -1: never.
  `ALTER TABLE databases ADD COLUMN suspend_after_ms INTEGER;
   ALTER TABLE databases ADD COLUMN stop_after_ms INTEGER;
   ALTER TABLE databases ADD COLUMN always_on INTEGER;
   ALTER TABLE databases ADD COLUMN listen_keeps_awake INTEGER;`,
  `ALTER TABLE databases ADD COLUMN parent_id TEXT;
   ALTER TABLE databases ADD COLUMN parent_name TEXT;`,
  'ALTER TABLE databases ADD COLUMN throw_away_boot TEXT;',
  // NULL: the platform's flags apply; -1: no limit.
  `ALTER TABLE databases ADD COLUMN memory_limit_bytes INTEGER;
   ALTER TABLE databases ADD COLUMN cpu_limit REAL;
   ALTER TABLE databases ADD COLUMN cpu_weight INTEGER;
   ALTER TABLE databases ADD COLUMN process_limit INTEGER;
   ALTER TABLE databases ADD COLUMN temp_limit_bytes INTEGER;`,
  "ALTER TABLE databases ADD COLUMN kind TEXT NOT NULL DEFAULT 'managed';",
];

const DATABASE_COLUMNS = `id, kind, name, pg_major AS pgMajor, lifecycle, created_at_ms AS createdAtMs,
  parent_id AS parentId, parent_name AS parentName, throw_away_boot AS throwAwayBoot,
  suspend_after_ms AS suspendAfterMs, stop_after_ms AS stopAfterMs, always_on AS alwaysOn,
  listen_keeps_awake AS listenKeepsAwake,
  memory_limit_bytes AS memoryLimitBytes, cpu_limit AS cpuLimit, cpu_weight AS cpuWeight,
  process_limit AS processLimit, temp_limit_bytes AS tempLimitBytes`;
const KEY_COLUMNS =
  'id, database_id AS databaseId, role, label, created_at_ms AS createdAtMs, revoked_at_ms AS revokedAtMs';

/**
 * Databases, keys and usage on disk (SQLite in WAL mode). The calls are synchronous and every query of the process
 * waits for them, so they wait for the disk only where they must. A change of a database is durable once `synced` has
 * resolved, a change of a key when the call returns, and usage once the kernel has written it.
 */
export class Registry {
  readonly #db: Database.Database;
  readonly #file: string;
  readonly #wal: string;
  #walFile: Promise<FileHandle> | undefined;

  /**
   * Fails with `data_version` for a registry of a newer Dormouse, `data_unusable` for a file that is no registry, and
   * `disk_full`.
   */
  constructor(file: string) {
    this.#file = file;
    this.#wal = `${file}-wal`;
    try {
      this.#db = new Database(file, { timeout: 5_000 });
      this.#db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;');
      this.#migrate(file);
      this.#db.exec('PRAGMA synchronous = NORMAL');
    } catch (thrown) {
      const known = sqliteError(thrown, file);
      if (known instanceof DormouseError && known.code !== 'data_unusable') throw known;
      const { code } = thrown as { code?: unknown };
      throw new DormouseError('data_unusable', {
        message: `${file} cannot be read as the registry (${String(code)}). Restore it from a backup.`,
        cause: thrown,
      });
    }
  }

  /**
   * Resolves when everything written before is durable. Syncs SQLite's log by a second descriptor, whose closing drops
   * no lock because SQLite holds none on its log.
   */
  async synced(): Promise<void> {
    try {
      this.#walFile ??= open(this.#wal, 'r+');
      await (await this.#walFile).datasync();
    } catch (cause) {
      this.#walFile = undefined;
      throw diskError(cause, 'data_unusable', this.#wal);
    }
  }

  databases(): readonly DatabaseRow[] {
    return this.#db
      .prepare(`SELECT ${DATABASE_COLUMNS} FROM databases ORDER BY created_at_ms, id`)
      .all()
      .map((row) => readDatabase(row as StoredDatabase));
  }

  keys(): readonly KeyRow[] {
    return this.#db.prepare(`SELECT ${KEY_COLUMNS} FROM keys ORDER BY created_at_ms, id`).all() as KeyRow[];
  }

  /** Fails with `name_taken`. */
  addDatabase(row: DatabaseRow): void {
    try {
      this.#db
        .prepare(
          `INSERT INTO databases (id, kind, name, pg_major, lifecycle, created_at_ms, parent_id, parent_name,
             throw_away_boot, suspend_after_ms, stop_after_ms, always_on, listen_keeps_awake)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        )
        .run(
          ...[row.id, row.kind, row.name, row.pgMajor, row.lifecycle, row.createdAtMs, row.parentId, row.parentName],
          row.throwAwayBoot,
          ...storedRest(row.rest),
        );
    } catch (cause) {
      if (String((cause as { code?: unknown }).code).startsWith('SQLITE_CONSTRAINT')) {
        throw new DormouseError('name_taken', {
          message: `A database named "${row.name}" exists. Choose another name.`,
          cause,
        });
      }
      throw sqliteError(cause, this.#file);
    }
  }

  /** Replaces the own times of rest of a database. */
  setRest(id: DatabaseId, rest: RestOverrides): void {
    this.#atomically(() =>
      this.#db
        .prepare(
          'UPDATE databases SET suspend_after_ms = ?, stop_after_ms = ?, always_on = ?, listen_keeps_awake = ? WHERE id = ?',
        )
        .run(...storedRest(rest), id),
    );
  }

  /** Replaces the own limits of a database. */
  setLimits(id: DatabaseId, limits: LimitOverrides): void {
    const stored = LIMITS.map((name) => {
      const value = limits[name];
      return value === Number.POSITIVE_INFINITY ? -1 : (value ?? null);
    });
    this.#atomically(() =>
      this.#db
        .prepare(
          `UPDATE databases SET memory_limit_bytes = ?, cpu_limit = ?, cpu_weight = ?, process_limit = ?,
             temp_limit_bytes = ? WHERE id = ?`,
        )
        .run(...stored, id),
    );
  }

  /** Makes a created database ready and adds its first key in one transaction. */
  finishDatabase(id: DatabaseId, firstKey: KeyRow): void {
    this.#atomically(() => {
      this.#setLifecycle(id, 'ready');
      this.#insertKey(firstKey);
    });
  }

  markDeleting(id: DatabaseId): void {
    this.#atomically(() => this.#setLifecycle(id, 'deleting'));
  }

  /** Removes a database and its keys; its usage stays, for metering. */
  removeDatabase(id: DatabaseId): void {
    this.#atomically(() => this.#db.prepare('DELETE FROM databases WHERE id = ?').run(id));
  }

  addKey(row: KeyRow): void {
    this.#durably(() => this.#insertKey(row));
  }

  revokeKey(id: KeyId, atMs: number): void {
    this.#durably(() =>
      this.#db.prepare('UPDATE keys SET revoked_at_ms = ? WHERE id = ? AND revoked_at_ms IS NULL').run(atMs, id),
    );
  }

  /** Adds operations to the stored ones of the same key and day. */
  addUsage(rows: readonly UsageRow[]): void {
    this.#atomically(() => {
      const add = this.#db.prepare(
        `INSERT INTO usage (key_id, day, database_id, operations) VALUES (?, ?, ?, ?)
         ON CONFLICT (key_id, day) DO UPDATE SET operations = operations + excluded.operations`,
      );
      for (const { keyId, day, databaseId, operations } of rows) add.run(keyId, day, databaseId, operations);
    });
  }

  /** Deletes the usage of the days before `day`. */
  forgetUsageBefore(day: string): void {
    this.#atomically(() => this.#db.prepare('DELETE FROM usage WHERE day < ?').run(day));
  }

  usageSince(day: string): readonly UsageRow[] {
    return this.#db
      .prepare('SELECT key_id AS keyId, database_id AS databaseId, day, operations FROM usage WHERE day >= ?')
      .all(day) as UsageRow[];
  }

  close(): void {
    // The last checkpoint is explicit, because SQLite's own does not run here and a backup may copy this file alone.
    try {
      this.#db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    } catch {
      // The disk is full: the log keeps its content, and the next start reads it.
    }
    this.#db.close();
    void this.#walFile?.then((file) => file.close()).catch(() => {});
  }

  #setLifecycle(id: DatabaseId, lifecycle: Lifecycle): void {
    const { changes } = this.#db.prepare('UPDATE databases SET lifecycle = ? WHERE id = ?').run(lifecycle, id);
    assert(changes === 1, `no database ${id} in the registry`);
  }

  #insertKey(row: KeyRow): void {
    this.#db
      .prepare(
        'INSERT INTO keys (id, database_id, role, label, created_at_ms, revoked_at_ms) VALUES (?, ?, ?, ?, ?, ?)',
      )
      .run(row.id, row.databaseId, row.role, row.label, row.createdAtMs, row.revokedAtMs);
  }

  #atomically(work: () => void): void {
    try {
      sqlTransaction(this.#db, work);
    } catch (cause) {
      throw sqliteError(cause, this.#file);
    }
  }

  #durably(work: () => void): void {
    this.#db.exec('PRAGMA synchronous = FULL');
    try {
      this.#atomically(work);
    } finally {
      this.#db.exec('PRAGMA synchronous = NORMAL');
    }
  }

  #migrate(file: string): void {
    const [row] = this.#db.prepare('PRAGMA user_version').all() as { user_version: number }[];
    const version = row?.user_version ?? 0;
    if (version > MIGRATIONS.length) {
      throw new DormouseError('data_version', {
        message: `${file} was written by a newer Dormouse (registry ${version}, known here up to ${MIGRATIONS.length}). Use that version.`,
      });
    }
    for (let at = version; at < MIGRATIONS.length; at++) {
      sqlTransaction(this.#db, () => this.#db.exec(`${MIGRATIONS[at]}; PRAGMA user_version = ${at + 1};`));
    }
  }
}

/** In the order of the columns. */
const LIMITS = ['memoryLimitBytes', 'cpuLimit', 'cpuWeight', 'processLimit', 'tempLimitBytes'] as const;

/** A row as it comes from SQLite. */
interface StoredDatabase extends Omit<DatabaseRow, 'rest' | 'limits'>, Record<(typeof LIMITS)[number], number | null> {
  readonly suspendAfterMs: number | null;
  readonly stopAfterMs: number | null;
  readonly alwaysOn: number | null;
  readonly listenKeepsAwake: number | null;
}

function readDatabase(row: StoredDatabase): DatabaseRow {
  const { suspendAfterMs, stopAfterMs, alwaysOn, listenKeepsAwake, ...others } = row;
  const { memoryLimitBytes, cpuLimit, cpuWeight, processLimit, tempLimitBytes, ...columns } = others;
  const stored = { memoryLimitBytes, cpuLimit, cpuWeight, processLimit, tempLimitBytes };
  const limits: { -readonly [Name in keyof LimitOverrides]: LimitOverrides[Name] } = {};
  for (const name of LIMITS) {
    const value = stored[name];
    if (value !== null) limits[name] = value < 0 ? Number.POSITIVE_INFINITY : value;
  }
  const ms = (stored: number): number => (stored < 0 ? Number.POSITIVE_INFINITY : stored);
  return {
    ...columns,
    limits,
    rest: {
      ...(suspendAfterMs === null ? {} : { suspendAfterMs: ms(suspendAfterMs) }),
      ...(stopAfterMs === null ? {} : { stopAfterMs: ms(stopAfterMs) }),
      ...(alwaysOn === null ? {} : { alwaysOn: alwaysOn !== 0 }),
      ...(listenKeepsAwake === null ? {} : { listenKeepsAwake: listenKeepsAwake !== 0 }),
    },
  };
}

function storedRest(rest: RestOverrides): (number | null)[] {
  const ms = (value: number | undefined): number | null => (value === Number.POSITIVE_INFINITY ? -1 : (value ?? null));
  const bit = (value: boolean | undefined): number | null => (value === undefined ? null : Number(value));
  return [ms(rest.suspendAfterMs), ms(rest.stopAfterMs), bit(rest.alwaysOn), bit(rest.listenKeepsAwake)];
}
