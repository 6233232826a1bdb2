import { DormouseError } from '../../base/index.ts';
import type {
  BranchProgress,
  DatabaseDetail as CurrentDetail,
  DatabaseSummary as CurrentSummary,
  KeyDetail,
  KeySummary,
  PlatformStatus,
  TransactionAge,
} from '../../management-api/index.ts';

/**
 * Reads the replies of the management API. Each reader checks the fields that the commands use, because another program
 * or another version of Dormouse may answer.
 */

/** A shape some of whose fields are missing in replies of platforms of earlier versions. */
type SinceLater<Shape, Late extends keyof Shape> = Omit<Shape, Late> & Partial<Pick<Shape, Late>>;

/** How old a database is, in transactions. */
export type Age = SinceLater<TransactionAge, 'runningOut'>;

/** A database as lists show it. */
export type DatabaseItem = SinceLater<CurrentSummary, 'limits' | 'parent' | 'throwAway'>;

export interface DatabaseDetail extends DatabaseItem, Urls {
  readonly instance?: { readonly maintenance?: Age | null };
}

/** Addresses of a database under one key; null when no owner key of the database is live. */
export type Urls = Pick<CurrentDetail, 'prismaUrl' | 'postgresUrl' | 'pulseUrl' | 'apiKey'>;

/** A database that is a branch, or is being made as one. */
export interface BranchDetail extends DatabaseDetail {
  readonly progress: BranchProgress | null;
  readonly branched: CurrentDetail['branched'];
}

export type Status = Omit<SinceLater<PlatformStatus, 'limits'>, 'oldest'> & {
  readonly oldest?: ({ readonly id: string } & Age) | null;
};

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

export function readKey(value: unknown): KeySummary {
  return fields(value, 'a key', ['id', 'role'], ['createdAtMs']) as unknown as KeySummary;
}

export function readKeys(value: unknown): readonly KeySummary[] {
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
