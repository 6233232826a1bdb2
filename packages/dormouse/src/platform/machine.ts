import { type Clock, type Logger, ROLES } from '../base/index.ts';
import { type Limits, openProcessMachine, type ProcessMachine, type ServersDescription } from '../instance/index.ts';
import type { PlatformOptions } from './platform-options.ts';

export interface MachineOptions {
  readonly options: PlatformOptions;
  /** The data directory. */
  readonly directory: string;
  /** The limits of each database that has none of its own. */
  readonly limits: Limits;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Opens what the servers run on: processes of this machine. The only place that would change for servers of another
 * kind, which bring a runtime of their own.
 */
export function openMachine({ options, directory, limits, clock, log }: MachineOptions): Promise<ProcessMachine> {
  return openProcessMachine({
    dataDirectory: directory,
    limits,
    clientsMax: ROLES.length * options.poolConnections + options.tcpConnections,
    sparesMax: options.spares,
    clock,
    logger: log,
    ...(options.pgUser === undefined ? {} : { pgUser: options.pgUser }),
    pgBins: options.pgBin,
    trustExtensions: options.trustExtension,
    ...(options.isolation === undefined ? {} : { isolation: options.isolation }),
  });
}

/** One line for the user: what servers are kept apart by. */
export function describeIsolation({ isolation, isolationReason, account }: ServersDescription): string {
  if (isolation === 'sandbox') return 'Each server runs in a sandbox of its own.';
  const why = isolationReason === undefined ? '' : `, not in sandboxes: ${isolationReason}`;
  return `Servers run as processes of the account ${account}${why}.`;
}
