import { silentLogger, systemClock } from '../../src/base/index.ts';
import {
  type Instances,
  type InstancesOptions,
  MemoryKeeper,
  openInstances,
  openProcessMachine,
  type ProcessMachineOptions,
} from '../../src/instance/index.ts';

/** The instances of one data directory, as the platform opens them. */
export interface TestMachine {
  readonly instances: Instances;
  /** The major version of new databases. */
  readonly pgMajor: number;
  /** Stops all servers and gives the data directory back. */
  close(): Promise<void>;
}

export async function openTestMachine(
  options: Omit<ProcessMachineOptions, 'clock'> & Pick<InstancesOptions, 'rest'>,
): Promise<TestMachine> {
  const { rest = {}, logger = silentLogger } = options;
  const machine = await openProcessMachine(options);
  try {
    const { runtime, servers } = await machine.prepare();
    const memory = new MemoryKeeper({ maxBytes: undefined, machine: machine.memory, clock: systemClock, logger });
    const instances = openInstances({ runtime, memory, rest, logger });
    return {
      instances,
      pgMajor: servers.pgMajor,
      async close() {
        await instances.close();
        await machine.close();
      },
    };
  } catch (error) {
    await machine.close();
    throw error;
  }
}
