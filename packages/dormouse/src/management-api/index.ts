/**
 * Owns: the shapes of the replies of the management API (`/api/…`), which control/ and platform/ write, and the CLI and
 *   the dashboard read.
 * Never: has behaviour: types only. Each reader checks what it gets from a socket.
 */
import type { DatabaseId, KeyId, Role } from '../base/index.ts';

/** When a database rests: `never` where a time is Infinity, which JSON cannot say. */
export interface RestView {
  readonly suspendAfterMs: number | 'never';
  readonly stopAfterMs: number | 'never';
  readonly alwaysOn: boolean;
  readonly listenKeepsAwake: boolean;
  /** Names of the settings above that the database has of its own; the others follow the platform's flags. */
  readonly own: readonly string[];
}

/** How much a database may use: `none` where there is no limit. */
export interface LimitsView {
  readonly memoryLimitBytes: number | 'none';
  readonly cpuLimit: number | 'none';
  readonly cpuWeight: number;
  readonly processLimit: number | 'none';
  readonly tempLimitBytes: number | 'none';
  /** Names of the limits above that the database has of its own; the others follow the platform's flags. */
  readonly own: readonly string[];
}

/** A database as lists show it. */
export interface DatabaseSummary {
  readonly id: DatabaseId;
  readonly name: string;
  /** A state of the database's server, or `creating`, `deleting`. */
  readonly state: string;
  readonly pgMajor: number;
  readonly createdAtMs: number;
  /** The database that this one is a branch of, with its name at that time; it may be deleted since. */
  readonly parent: { readonly id: DatabaseId; readonly name: string } | null;
  /** Whether the database was made for a test: it is never synced, and a boot of the machine deletes it. */
  readonly throwAway: boolean;
  /** Number of keys that are not revoked. */
  readonly keys: number;
  readonly operationsToday: number;
  readonly rest: RestView;
  readonly limits: LimitsView;
  /** Memory of the database's server (PSS), as measured last; null while it has not been measured. */
  readonly memoryBytes: number | null;
}

/** Addresses of a database under one key. */
export interface DatabaseUrls {
  readonly prismaUrl: string;
  readonly postgresUrl: string;
  readonly pulseUrl: string;
  readonly apiKey: string;
}

/** How far the copy of a branch is; the total is an estimate. */
export interface BranchProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** How old a database is, in transactions. */
export interface TransactionAge {
  readonly frozenXidAge: number;
  readonly runningOut: boolean;
}

/** Details of a database's server, as the platform has them. */
export interface InstanceView {
  /** Null until the database was looked at. */
  readonly maintenance?: TransactionAge | null;
  readonly [detail: string]: unknown;
}

/** A database with its addresses; those that hold a key are null when no owner key is live. */
export interface DatabaseDetail extends DatabaseSummary {
  readonly prismaUrl: string | null;
  readonly postgresUrl: string | null;
  readonly pulseUrl: string;
  readonly apiKey: string | null;
  readonly usage: readonly { readonly day: string; readonly operations: number }[];
  readonly instance: InstanceView;
  /** Null unless the database is a branch that is being made. */
  readonly progress: BranchProgress | null;
  /** How a branch was made and how long its source was paused for that; null when the branch is not recent. */
  readonly branched: { readonly way: string; readonly pausedMs: number } | null;
}

export interface KeySummary {
  readonly id: KeyId;
  readonly role: Role;
  readonly label: string | null;
  readonly createdAtMs: number;
  readonly revokedAtMs: number | null;
  readonly operationsToday: number;
}

export interface KeyDetail extends KeySummary, DatabaseUrls {}

/** Counts of databases by state, and of today's operations. */
export interface Totals {
  readonly databases: { readonly total: number; readonly byState: Readonly<Record<string, number>> };
  readonly operationsToday: number;
}

/** The state of the platform and of the machine. */
export interface PlatformStatus extends Totals {
  readonly version: string;
  readonly publicUrl: string;
  readonly region: string;
  readonly startedAtMs: number;
  readonly nowMs: number;
  /** Absent while the platform starts. */
  readonly servers?: { readonly pgVersion: string; readonly isolation: string; readonly account: string } | undefined;
  /** Whether the kernel enforces limits of servers, and why it does not although some servers have a limit. */
  readonly limits: { readonly enforced: boolean; readonly reason?: string | undefined };
  /** The database nearest to running out of transaction ids; null until one was looked at. */
  readonly oldest: ({ readonly id: DatabaseId } & TransactionAge) | null;
  /** Memory of all servers together; `maxBytes` is null for no limit. */
  readonly memory: {
    readonly bytes: number;
    readonly maxBytes: number | null;
    readonly servers: number;
    readonly measured: number;
  };
  readonly health: Readonly<Record<string, unknown>>;
}
