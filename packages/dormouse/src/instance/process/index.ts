/**
 * Owns: servers that are processes of this machine: the lock on the data directory, what is made ready before the first
 *   start, spawning, watching, freezing, stopping, killing, and what an earlier platform left running.
 * Never: decides when a server starts or rests.
 */
export {
  openProcessMachine,
  type PreparedMachine,
  type ProcessMachine,
  type ProcessMachineOptions,
  type ServersDescription,
} from './process-machine.ts';
