import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Gives a function that collects the garbage of this thread. libsql closes a file's descriptors only when the file's
 * last prepared statement is collected as garbage; a thread that allocates little collects so rarely that it would run
 * out of descriptors first.
 */
export function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
