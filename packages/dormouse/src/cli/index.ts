/**
 * Owns: the command line: its commands, flags, help, output and exit codes.
 * Never: touches the data directory of a running platform, except to read the platform's address; connects to anything
 *   but the platform.
 * Limits: none of its own; the flags set those of the platform.
 * Fails with: `usage_invalid`, `name_invalid`, `platform_unreachable`, `admin_token_invalid`, `data_unusable`,
 *   `interrupted`, and the errors that the platform answers with.
 */

export { nodeProcessContext, run } from './command-line/index.ts';
export { allCommands } from './commands/index.ts';
