/** Commands after which the session is as it was; any other command may have left something behind. */
const HARMLESS = new Set([
  '',
  'SELECT',
  'INSERT',
  'UPDATE',
  'DELETE',
  'MERGE',
  'BEGIN',
  'START',
  'COMMIT',
  'ROLLBACK',
  'SAVEPOINT',
  'RELEASE',
  'COPY',
  'EXPLAIN',
  'ANALYZE',
  'VACUUM',
  'TRUNCATE',
  'SHOW',
  'FETCH',
  'MOVE',
]);
/** A SET that ends with its transaction. */
const SET_LOCAL = /^\s*set\s+(local|transaction)\s/i;

/**
 * Whether the effect of a statement with this command tag may outlive its transaction in the session: SET, LISTEN,
 * PREPARE, CREATE TEMP …
 */
export function changesSession(tag: string, sql: string): boolean {
  // The frequent tags come first, and the string is not cut for them.
  if (tag.startsWith('SELECT') || tag.startsWith('INSERT') || tag.startsWith('UPDATE')) return false;
  const space = tag.indexOf(' ');
  const word = space < 0 ? tag : tag.slice(0, space);
  if (HARMLESS.has(word)) return false;
  return !(word === 'SET' && SET_LOCAL.test(sql));
}
