import type { WrittenReply } from '../program/index.ts';
import type { Telemetry } from '../request/index.ts';
import type { Prisma6Error } from './prisma6-errors.ts';

/** The reply to one query, or its part of a batch's reply: JSON text already, or the object that becomes JSON text. */
export type QueryReply = WrittenReply | { readonly data: Readonly<Record<string, unknown>> } | FailedReply;

/** The reply to a query or a batch that failed, or the part of a batch's reply that tells of one failed query. */
export interface FailedReply {
  readonly errors: readonly Prisma6Error[];
}

/** The reply to a query or a batch. A batch of no queries has an empty result. */
export type Prisma6Reply = QueryReply | { readonly batchResult: readonly [] };

/** The members of a reply that carry the telemetry which its client asked for. */
export function telemetryMembers(telemetry: Telemetry | undefined): object {
  return telemetry === undefined ? {} : { extensions: telemetry.extensions() };
}
