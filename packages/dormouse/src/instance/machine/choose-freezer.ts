import { type Clock, DormouseError } from '../../base/index.ts';
import type { CgroupPlace } from './cgroup.ts';
import { cgroupFreezer, type Freezer, signalFreezer } from './freezer.ts';
import type { ProcessTable } from './process-table.ts';

export interface FreezerChoice {
  /** Undefined where there is no control group of version 2. */
  readonly place: CgroupPlace | undefined;
  /** The name of the group that holds the groups of the servers. */
  readonly name: string;
  readonly table: ProcessTable;
  readonly clock: Clock;
  /** The way that the user insists on; by default the better one of those that work. */
  readonly wanted: Freezer['kind'] | undefined;
}

/**
 * Freezes by control groups where they are writable, else by signals. Fails with `usage_invalid` if control groups are
 * insisted on and do not work.
 */
export function chooseFreezer({ place, name, table, clock, wanted }: FreezerChoice): Freezer {
  if (wanted !== 'signal') {
    const freezer = place && cgroupFreezer(table, clock, place, name);
    if (freezer !== undefined) return freezer;
    if (wanted === 'cgroup') {
      throw new DormouseError('usage_invalid', {
        message: 'Servers cannot be frozen by cgroup here: version 2 is not mounted, or not writable for this account.',
      });
    }
  }
  return signalFreezer(table, clock, place, name);
}
