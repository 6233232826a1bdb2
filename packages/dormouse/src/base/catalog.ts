import type { DatabaseId, KeyId } from './ids.ts';

/** What a key may do. Each is a Postgres role of the same meaning; a key never exists in Postgres. */
export type Role = 'owner' | 'writer' | 'reader';
export const ROLES: readonly Role[] = ['owner', 'writer', 'reader'];

/** Where one database departs from how the platform lets databases rest. Times in milliseconds, Infinity for never. */
export interface RestOverrides {
  readonly suspendAfterMs?: number;
  readonly stopAfterMs?: number;
  /** Neither suspended nor stopped for idleness; comes up by itself. */
  readonly alwaysOn?: boolean;
  /** A session that has run LISTEN counts as activity until it ends. */
  readonly listenKeepsAwake?: boolean;
}

/** Where one database departs from what the platform lets each take. Infinity for no limit. */
export interface LimitOverrides {
  /** Of all its server's processes and of the files the kernel caches for them; over it the server is ended. */
  readonly memoryLimitBytes?: number;
  /** Processors it may use, also a part of one. */
  readonly cpuLimit?: number;
  /** Its share where processors are short, beside the others' shares: 1 to 10000, 100 as it comes. */
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
  /** Absent: nothing of its own. */
  readonly rest?: RestOverrides;
  /**
   * For a test: nothing of it is synced, and it does not outlive a boot of the machine. Absent: a database like any
   * other.
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

/** Look-ups in memory, never I/O: this stands on the path of every query. Written by control/ only. */
export interface Catalog {
  database(id: DatabaseId): DatabaseRecord | undefined;
  key(id: KeyId): KeyRecord | undefined;
  /** The TCP door's password of a key, or undefined for an unknown one. HMAC(master key, key id). */
  secret(id: KeyId): string | undefined;
  /** Counts operations for metering; adds to memory and returns at once. */
  count(keyId: KeyId, databaseId: DatabaseId, operations: number): void;
}
