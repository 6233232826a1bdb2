import type { DatabaseId, KeyId } from './ids.ts';

/** What a key may do. Each is a Postgres role of the same meaning; a key never exists in Postgres. */
export type Role = 'owner' | 'writer' | 'reader';
export const ROLES: readonly Role[] = ['owner', 'writer', 'reader'];

/** Settings of one database that replace the platform's own for rest. Times in milliseconds, Infinity for never. */
export interface RestOverrides {
  readonly suspendAfterMs?: number;
  readonly stopAfterMs?: number;
  /** The database is neither suspended nor stopped for idleness, and starts by itself. */
  readonly alwaysOn?: boolean;
  /** A session that has run LISTEN counts as activity until it ends. */
  readonly listenKeepsAwake?: boolean;
}

/** Limits of one database that replace those of the platform. Infinity for no limit. */
export interface LimitOverrides {
  /** Memory of the server's processes and of the files that the kernel caches for them. Over it the server is ended. */
  readonly memoryLimitBytes?: number;
  /** Processors it may use, also a part of one. */
  readonly cpuLimit?: number;
  /** Its share of the processors while they are short, relative to other databases: 1 to 10000, by default 100. */
  readonly cpuWeight?: number;
  /** Processes of its server. */
  readonly processLimit?: number;
  /** Temporary files of one session. */
  readonly tempLimitBytes?: number;
}

/** Who runs the server of a database. `managed`: Dormouse does, on this machine. */
export type DatabaseKind = 'managed';

/** What the data plane may know of a database. */
export interface DatabaseRecord {
  readonly id: DatabaseId;
  readonly kind: DatabaseKind;
  readonly name: string;
  /** PostgreSQL major version of its data directory. */
  readonly pgMajor: number;
  /** Milliseconds since 1970 UTC. */
  readonly createdAtMs: number;
  /** Absent: the platform's settings hold. */
  readonly rest?: RestOverrides;
  /**
   * The database is for a test: its files are not synced, and it does not survive a reboot of the machine. Absent: an
   * ordinary database.
   */
  readonly throwAway?: boolean;
  readonly limits?: LimitOverrides;
}

/** What the data plane may know of a key. */
export interface KeyRecord {
  readonly id: KeyId;
  readonly databaseId: DatabaseId;
  readonly role: Role;
  readonly revoked: boolean;
}

/** Look-ups in memory, never I/O, because every query uses them. Only control/ writes the catalog. */
export interface Catalog {
  database(id: DatabaseId): DatabaseRecord | undefined;
  key(id: KeyId): KeyRecord | undefined;
  /** The TCP door's password of a key, or undefined for an unknown one. HMAC(master key, key id). */
  secret(id: KeyId): string | undefined;
  /** Counts operations for metering; adds to memory and returns at once. */
  count(keyId: KeyId, databaseId: DatabaseId, operations: number): void;
}
