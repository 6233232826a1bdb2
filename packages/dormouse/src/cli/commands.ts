import type { Command } from './command.ts';
import { dbBranch } from './commands/db-branch.ts';
import { dbCreate } from './commands/db-create.ts';
import { dbDelete } from './commands/db-delete.ts';
import { dbList } from './commands/db-list.ts';
import { dbSet } from './commands/db-set.ts';
import { dbShow } from './commands/db-show.ts';
import { dbStop, dbSuspend, dbWake } from './commands/db-state.ts';
import { keyCreate } from './commands/key-create.ts';
import { keyList } from './commands/key-list.ts';
import { keyRevoke } from './commands/key-revoke.ts';
import { keyShow } from './commands/key-show.ts';
import { startCommand } from './commands/start.ts';
import { status } from './commands/status.ts';
import { version } from './commands/version.ts';
import { type StartPlatform, startHere } from './start-platform.ts';

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
