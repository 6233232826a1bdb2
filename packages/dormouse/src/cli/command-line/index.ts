/**
 * Owns: the command line: flags, parsing, help, output, and the process around a command as an argument
 *   (`ProcessContext`).
 * Never: knows a particular command.
 */
export { type Command, defineCommand } from './command.ts';
export {
  bytes,
  count,
  duration,
  type Flag,
  type FlagsOf,
  limit,
  ownLimit,
  ownRestTime,
  port,
  restTime,
  text,
  texts,
  toggle,
} from './flag.ts';
export { textLogger } from './log.ts';
export { nodeProcessContext } from './node-process-context.ts';
export { bold, formatAge, formatPairs, formatSize, formatTable, printJson } from './output.ts';
export type { ProcessContext } from './process-context.ts';
export { run } from './run.ts';
export {
  formatBytes,
  formatDuration,
  parseBytes,
  parseHttpUrl,
  parseIsolation,
  parseLogLevel,
  parseRegion,
} from './values.ts';
