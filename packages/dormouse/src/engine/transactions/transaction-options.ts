import { UserFacingError } from '@prisma/client-engine-runtime';
import { requestInvalid } from '../request/index.ts';
import type { IsolationLevel } from '../statements/index.ts';

/** How an interactive transaction is started. */
export interface TransactionOptions {
  /** How long the transaction may stay open. */
  readonly timeoutMs: number;
  /** How long the start may wait for a connection. */
  readonly maxWaitMs: number;
  readonly isolationLevel: IsolationLevel | undefined;
}

/** The defaults of Prisma's own client. */
const TIMEOUT_MS = 5000;
const MAX_WAIT_MS = 2000;

/** The names of the options in the body of a request that starts a transaction. */
export interface OptionNames {
  readonly timeout: string;
  readonly maxWait: string;
  readonly isolationLevel: string;
}

/**
 * Reads the options from the body of a request that starts a transaction. Throws `request_invalid`, and P2023 for an
 * isolation level that Postgres does not have.
 */
export function transactionOptions(
  body: Readonly<Record<string, unknown>>,
  names: OptionNames,
  timeoutMsMax: number,
): TransactionOptions {
  const { timeout, maxWait } = names;
  return {
    timeoutMs: Math.min(milliseconds(body[timeout], timeout, TIMEOUT_MS), timeoutMsMax),
    maxWaitMs: milliseconds(body[maxWait], maxWait, MAX_WAIT_MS),
    isolationLevel: isolationLevel(body[names.isolationLevel]),
  };
}

/** A duration: a positive number of milliseconds, or absent. */
function milliseconds(value: unknown, name: string, fallback: number): number {
  if (value === undefined || value === null) return fallback;
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    throw requestInvalid(`${name} must be a positive number`);
  }
  return value;
}

const LEVELS: ReadonlyMap<string, IsolationLevel> = new Map([
  ['READUNCOMMITTED', 'READ UNCOMMITTED'],
  ['READCOMMITTED', 'READ COMMITTED'],
  ['REPEATABLEREAD', 'REPEATABLE READ'],
  ['SERIALIZABLE', 'SERIALIZABLE'],
]);

/**
 * An isolation level as SQL, from the name that Prisma 6 gives it (`RepeatableRead`) or from SQL's own, which Prisma 7
 * sends. Throws P2023 for a level that Postgres does not have.
 */
export function isolationLevel(value: unknown): IsolationLevel | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw requestInvalid('the isolation level must be a string');
  const level = LEVELS.get(value.toUpperCase().replaceAll(' ', ''));
  if (level === undefined) throw unknownLevel(value.slice(0, 80));
  return level;
}

function unknownLevel(level: string): UserFacingError {
  const message = `Inconsistent column data: Conversion failed: Invalid isolation level \`${level}\``;
  return new UserFacingError(message, 'P2023', { providedIsolationLevel: level });
}
