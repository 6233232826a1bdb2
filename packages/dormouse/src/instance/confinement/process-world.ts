import type { Clock, Logger } from '../../base/index.ts';
import type { Account, Freezer, ProcessTable } from '../machine/index.ts';
import type { Binaries } from '../postgres/index.ts';
import type { Isolation } from './isolation.ts';
import type { LimitGroups } from './limit-groups.ts';

/** What all servers of one machine share. */
export interface ProcessWorld {
  readonly account: Account;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly table: ProcessTable;
  readonly freezer: Freezer;
  readonly limits: LimitGroups;
  /** The number of client connections that a server has room for. */
  readonly clientsMax: number;
  readonly isolation: Isolation;
  binaries(pgMajor: number): Binaries;
}
