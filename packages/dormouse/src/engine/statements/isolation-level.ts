import { DormouseError } from '../../base/index.ts';
import { isolationLevelInvalid } from './transaction-errors.ts';

/** Isolation levels of Postgres, as SQL. */
export type IsolationLevel = 'READ UNCOMMITTED' | 'READ COMMITTED' | 'REPEATABLE READ' | 'SERIALIZABLE';

const LEVELS: ReadonlyMap<string, IsolationLevel> = new Map([
  ['READUNCOMMITTED', 'READ UNCOMMITTED'],
  ['READCOMMITTED', 'READ COMMITTED'],
  ['REPEATABLEREAD', 'REPEATABLE READ'],
  ['SERIALIZABLE', 'SERIALIZABLE'],
]);

/**
 * An isolation level as SQL, from Prisma's name (`RepeatableRead`, by 6) or SQL's (by 7). Throws P2023 for one that is
 * not ours.
 */
export function isolationLevel(value: unknown): IsolationLevel | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') {
    const message = 'The request cannot be understood: the isolation level must be a string.';
    throw new DormouseError('request_invalid', { message });
  }
  const level = LEVELS.get(value.toUpperCase().replaceAll(' ', ''));
  if (level === undefined) throw isolationLevelInvalid(value.slice(0, 80));
  return level;
}
