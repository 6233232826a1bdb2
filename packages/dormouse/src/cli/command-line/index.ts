/**
 * Owns: the command line: flags, parsing, help, output, and the process around a command as an argument (`World`).
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
  ownRest,
  port,
  rest,
  text,
  texts,
  toggle,
} from './flag.ts';
export { textLogger } from './log.ts';
export { nodeWorld } from './node-world.ts';
export { bold, formatAge, formatPairs, formatSize, formatTable, printJson } from './output.ts';
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
export type { World } from './world.ts';
