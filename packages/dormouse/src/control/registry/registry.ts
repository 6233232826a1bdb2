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

/** Where a database stands in its life; what its server does meanwhile is the fleet's to say. */
export type Lifecycle = 'creating' | 'ready' | 'deleting';

export interface DatabaseRow {
  readonly id: DatabaseId;
  readonly kind: DatabaseKind;
  readonly name: string;
  readonly pgMajor: number;
  readonly lifecycle: Lifecycle;
  readonly createdAtMs: number;
  /** Empty: nothing of its own. */
  readonly rest: RestOverrides;
  readonly limits: LimitOverrides;
  /** The database that this one is a branch of, as it was called then; it may be gone. Null if it is none. */
  readonly parentId: DatabaseId | null;
  readonly parentName: string | null;
  /**
   * For a throw-away database the boot of the machine that it was made in: no other finds it whole. Null for any other.
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

// Forward only; the position in the list is the version before it, kept in user_version.
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
  // NULL: as the platform's flags say; -1: never.
  `ALTER TABLE databases ADD COLUMN suspend_after_ms INTEGER;
   ALTER TABLE databases ADD COLUMN stop_after_ms INTEGER;
   ALTER TABLE databases ADD COLUMN always_on INTEGER;
   ALTER TABLE databases ADD COLUMN listen_keeps_awake INTEGER;`,
  `ALTER TABLE databases ADD COLUMN parent_id TEXT;
   ALTER TABLE databases ADD COLUMN parent_name TEXT;`,
  'ALTER TABLE databases ADD COLUMN throw_away_boot TEXT;',
  // NULL: as the platform's flags say; -1: no limit.
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
 * Databases, keys and usage on disk (WAL). Nothing is a call that waits for the disk where it can be helped, since
 * everybody's queries wait with it: what is written of databases is durable once `synced` has resolved, of keys when
 * the call returns; usage, which is written every few seconds, once the kernel has written it.
 */
export class Registry {
  readonly #db: Database.Database;
  readonly #file: string;
  readonly #wal: string;
  #walFile: Promise<FileHandle> | undefined;

  /**
   * Fails with `data_version` for a registry of a newer Dormouse, `data_unusable` for a file that is none, `disk_full`.
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
   * All that was written before is durable. The file is SQLite's log, on which it holds no lock that a second
   * descriptor could drop.
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

  /** Replaces what a database has of its own. */
  setRest(id: DatabaseId, rest: RestOverrides): void {
    this.#atomically(() =>
      this.#db
        .prepare(
          'UPDATE databases SET suspend_after_ms = ?, stop_after_ms = ?, always_on = ?, listen_keeps_awake = ? WHERE id = ?',
        )
        .run(...storedRest(rest), id),
    );
  }

  /** Replaces the limits that a database has of its own. */
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

  /** Makes a created database ready together with its first key: neither is ever seen without the other. */
  finishDatabase(id: DatabaseId, firstKey: KeyRow): void {
    this.#atomically(() => {
      this.#setLifecycle(id, 'ready');
      this.#insertKey(firstKey);
    });
  }

  markDeleting(id: DatabaseId): void {
    this.#atomically(() => this.#setLifecycle(id, 'deleting'));
  }

  /** Removes a database and its keys; what it used stays, for metering. */
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

  /** Adds to what stands there. */
  addUsage(rows: readonly UsageRow[]): void {
    this.#atomically(() => {
      const add = this.#db.prepare(
        `INSERT INTO usage (key_id, day, database_id, operations) VALUES (?, ?, ?, ?)
         ON CONFLICT (key_id, day) DO UPDATE SET operations = operations + excluded.operations`,
      );
      for (const { keyId, day, databaseId, operations } of rows) add.run(keyId, day, databaseId, operations);
    });
  }

  /** Drops what was used before `day`. */
  forgetUsageBefore(day: string): void {
    this.#atomically(() => this.#db.prepare('DELETE FROM usage WHERE day < ?').run(day));
  }

  usageSince(day: string): readonly UsageRow[] {
    return this.#db
      .prepare('SELECT key_id AS keyId, database_id AS databaseId, day, operations FROM usage WHERE day >= ?')
      .all(day) as UsageRow[];
  }

  close(): void {
    // SQLite's own last checkpoint does not run here, and a backup may copy the file alone.
    try {
      this.#db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    } catch {
      // A full disk: the log keeps what it has, and the next start reads it.
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

/** A row as SQLite gives it. */
interface StoredDatabase extends Omit<DatabaseRow, 'rest' | 'limits'>, Record<(typeof LIMITS)[number], number | null> {
  readonly suspendAfterMs: number | null;
  readonly stopAfterMs: number | null;
  readonly alwaysOn: number | null;
  readonly listenKeepsAwake: number | null;
}

function readDatabase(row: StoredDatabase): DatabaseRow {
  const { suspendAfterMs, stopAfterMs, alwaysOn, listenKeepsAwake, ...others } = row;
  const { memoryLimitBytes, cpuLimit, cpuWeight, processLimit, tempLimitBytes, ...rest } = others;
  const stored = { memoryLimitBytes, cpuLimit, cpuWeight, processLimit, tempLimitBytes };
  const limits: { -readonly [Name in keyof LimitOverrides]: LimitOverrides[Name] } = {};
  for (const name of LIMITS) {
    const value = stored[name];
    if (value !== null) limits[name] = value < 0 ? Number.POSITIVE_INFINITY : value;
  }
  const ms = (stored: number): number => (stored < 0 ? Number.POSITIVE_INFINITY : stored);
  return {
    ...rest,
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
