import type { Clock, Logger } from '../../base/index.ts';
import type { Account, Freezer, ProcessTable } from '../machine/index.ts';
import type { Binaries } from '../postgres/index.ts';
import type { Isolation } from './isolation.ts';
import type { LimitGroups } from './limit-groups.ts';

/** What every server of one machine shares. */
export interface ProcessWorld {
  readonly account: Account;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly table: ProcessTable;
  readonly freezer: Freezer;
  readonly limits: LimitGroups;
  /** Connections of clients that a server has room for. */
  readonly clientsMax: number;
  readonly isolation: Isolation;
  binaries(pgMajor: number): Binaries;
}
