/**
 * Owns: the processes of one server on this machine: spawning, watching, freezing, stopping, killing, and what an
 *   earlier platform left running.
 * Never: decides when a server starts or rests.
 */
export { processRuntime, removeLeftovers, storedDatabases } from './process-runtime.ts';
