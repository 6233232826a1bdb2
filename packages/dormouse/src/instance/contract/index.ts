/**
 * Owns: what other rooms and stages may rely on: `Instance` and its states, and `Runtime`, which runs the servers.
 * Never: has behaviour of its own: types, and constants of these types.
 */
export type { Endpoint } from '../../session/index.ts';
export type { Backends } from './backends.ts';
export type { Attachment, Credentials, Hold, Instance, InstanceState } from './instance.ts';
export type { MachineMemory } from './machine-memory.ts';
export type { CopySource, ReadyCopies } from './ready-copies.ts';
export type { CopyWay, ForkOrder, ForkResult, Runtime, ServerRecord } from './runtime.ts';
export type { Adoption, Server, StopResult } from './server.ts';
