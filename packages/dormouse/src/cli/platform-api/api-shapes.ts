import { DormouseError } from '../../base/index.ts';

/**
 * The parts of the management API's replies that commands read (control/ writes them).
 * Each reader checks what it needs: what answers may be another program, or another version.
 */

/** When a database rests; `own` names what does not follow the platform's flags. */
export interface Rest {
  readonly suspendAfterMs: number | 'never';
  readonly stopAfterMs: number | 'never';
  readonly alwaysOn: boolean;
  readonly listenKeepsAwake: boolean;
  readonly own: readonly string[];
}

/** What a database may take; `own` names what does not follow the platform's flags. */
export interface Limits {
  readonly memoryLimitBytes: number | 'none';
  readonly cpuLimit: number | 'none';
  readonly cpuWeight: number;
  readonly processLimit: number | 'none';
  readonly tempLimitBytes: number | 'none';
  readonly own: readonly string[];
}

/** A database as lists show it. */
export interface DatabaseItem {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly createdAtMs: number;
  readonly keys: number;
  readonly operationsToday: number;
  readonly rest: Rest;
  /** Platforms of an earlier version do not say. */
  readonly limits?: Limits;
  /** What it is a branch of, as that was called then; platforms of an earlier version do not say. */
  readonly parent?: { readonly name: string } | null;
  /** Null if that is not known (yet). */
  readonly memoryBytes: number | null;
}

/** Addresses of a database under one key; null when it has no live key of the owner. */
export interface Urls {
  readonly prismaUrl: string | null;
  readonly postgresUrl: string | null;
  readonly pulseUrl: string;
  readonly apiKey: string | null;
}

/** How old a database is, in transactions. */
export interface Age {
  readonly frozenXidAge: number;
  /** Platforms of an earlier version do not say. */
  readonly runningOut?: boolean;
}

export interface DatabaseDetail extends DatabaseItem, Urls {
  /** Null until it was looked at. */
  readonly instance?: { readonly maintenance?: Age | null };
}

/** A database that is, or is about to be, a branch. */
export interface BranchDetail extends DatabaseDetail {
  /** How far it is, while it is made. */
  readonly progress: { readonly doneBytes: number; readonly totalBytes: number } | null;
  /** How it was made. */
  readonly branched: { readonly way: string; readonly pausedMs: number } | null;
}

export interface KeyItem {
  readonly id: string;
  readonly role: string;
  readonly label: string | null;
  readonly createdAtMs: number;
  readonly revokedAtMs: number | null;
  readonly operationsToday: number;
}

export interface KeyDetail extends KeyItem, Urls {}

export interface Status {
  readonly version: string;
  readonly publicUrl: string;
  readonly region: string;
  readonly startedAtMs: number;
  readonly nowMs: number;
  readonly operationsToday: number;
  /** Absent while the platform starts. */
  readonly servers?: { readonly pgVersion: string; readonly isolation: string; readonly account: string };
  /** Whether the kernel holds servers to limits, and why not although some have one. */
  readonly limits?: { readonly enforced: boolean; readonly reason?: string };
  /** The database nearest to running out of transaction ids; null until one was looked at. */
  readonly oldest?: ({ readonly id: string } & Age) | null;
  readonly memory: {
    readonly bytes: number;
    /** Null for no limit. */
    readonly maxBytes: number | null;
    readonly servers: number;
    readonly measured: number;
  };
  readonly databases: { readonly total: number; readonly byState: Readonly<Record<string, number>> };
}

type Fields = Readonly<Record<string, unknown>>;

function strange(what: string): never {
  throw new DormouseError('platform_unreachable', {
    message: `The reply does not describe ${what}: another version of Dormouse, or another program, answers there. Use the \`dormouse\` that started it, or name another with --url.`,
  });
}

function fields(value: unknown, what: string, strings: readonly string[], numbers: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null) strange(what);
  const object = value as Fields;
  if (strings.some((name) => typeof object[name] !== 'string')) strange(what);
  if (numbers.some((name) => typeof object[name] !== 'number')) strange(what);
  return object;
}

function list(value: unknown, name: string, what: string): readonly unknown[] {
  const items = (value as Fields | null)?.[name];
  return Array.isArray(items) ? items : strange(what);
}

function readDatabase(value: unknown): DatabaseItem {
  const database = fields(value, 'a database', ['id', 'name', 'state'], ['createdAtMs', 'keys', 'operationsToday']);
  list(database.rest, 'own', 'a database');
  return database as unknown as DatabaseItem;
}

export function readDatabases(value: unknown): readonly DatabaseItem[] {
  return list(value, 'databases', 'databases').map(readDatabase);
}

export function readDatabaseDetail(value: unknown): DatabaseDetail {
  fields(value, 'a database', ['pulseUrl'], []);
  return readDatabase(value) as DatabaseDetail;
}

export function readBranchDetail(value: unknown): BranchDetail {
  return readDatabaseDetail(value) as BranchDetail;
}

export function readKey(value: unknown): KeyItem {
  return fields(value, 'a key', ['id', 'role'], ['createdAtMs']) as unknown as KeyItem;
}

export function readKeys(value: unknown): readonly KeyItem[] {
  return list(value, 'keys', 'keys').map(readKey);
}

export function readKeyDetail(value: unknown): KeyDetail {
  fields(value, 'a key', ['prismaUrl', 'postgresUrl', 'pulseUrl', 'apiKey'], []);
  return readKey(value) as KeyDetail;
}

export function readStatus(value: unknown): Status {
  const status = fields(value, 'a platform', ['version', 'publicUrl', 'region'], ['startedAtMs', 'nowMs']);
  fields(status.databases, 'a platform', [], ['total']);
  fields(status.memory, 'a platform', [], ['bytes', 'servers', 'measured']);
  return status as unknown as Status;
}
