/**
 * Owns: what other rooms and stages may rely on: `Instance` and its states, and `Runtime`, which runs the servers.
 * Never: has behaviour of its own: types, and constants of these types.
 */
export type { Endpoint } from '../../session/index.ts';
export type { Backends } from './backends.ts';
export type { Attachment, Credentials, Hold, Instance, InstanceState } from './instance.ts';
export type { Adoption, CopyWay, ForkOrder, ForkResult, Runtime, Server, StopResult } from './runtime.ts';
