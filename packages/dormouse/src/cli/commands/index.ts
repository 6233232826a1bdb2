/**
 * Owns: the commands, one file each: their requests to the platform and their output; the list of all commands.
 * Never: parses flags, opens a connection itself.
 */
import type { Command } from '../command-line/index.ts';
import { type StartPlatform, startHere } from '../start-platform.ts';
import { dbBranch } from './db-branch.ts';
import { dbCreate } from './db-create.ts';
import { dbDelete } from './db-delete.ts';
import { dbList } from './db-list.ts';
import { dbSet } from './db-set.ts';
import { dbShow } from './db-show.ts';
import { dbStop, dbSuspend, dbWake } from './db-state.ts';
import { keyCreate } from './key-create.ts';
import { keyList } from './key-list.ts';
import { keyRevoke } from './key-revoke.ts';
import { keyShow } from './key-show.ts';
import { startCommand } from './start.ts';
import { status } from './status.ts';
import { version } from './version.ts';

/** Every command, in the order in which help shows them. */
export function allCommands(startPlatform: StartPlatform = startHere): readonly Command[] {
  return [
    startCommand(startPlatform),
    status,
    dbCreate,
    dbList,
    dbShow,
    dbSet,
    dbWake,
    dbSuspend,
    dbStop,
    dbDelete,
    dbBranch,
    keyCreate,
    keyList,
    keyShow,
    keyRevoke,
    version,
  ];
}
