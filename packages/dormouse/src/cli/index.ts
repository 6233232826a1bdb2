/**
 * Owns: the command line: its commands, flags, help, what it prints and its exit codes.
 * Never: touches the data directory of a running platform except to read where it is; asks the network for anything but
 *   the platform.
 * Limits: none of its own; it names the platform's as flags.
 * Fails with: `usage_invalid`, `name_invalid`, `platform_unreachable`, `admin_token_invalid`, `data_unusable`,
 *   `interrupted`, and what the platform answers.
 */

export { nodeProcessContext, run } from './command-line/index.ts';
export { allCommands } from './commands/index.ts';
