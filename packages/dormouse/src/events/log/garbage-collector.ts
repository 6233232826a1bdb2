import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Collects the garbage of this thread when called. libsql closes a file's descriptors when its last prepared statement
 * is collected, and has no other way to let go of one; a thread that allocates little collects so rarely that
 * descriptors run out first.
 */
export function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
