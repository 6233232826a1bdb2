import type { Call, Clock } from '../../base/index.ts';
import type { OperationBounds } from '../statements/index.ts';
import type { ClientLimits } from './client-limits.ts';

/** The bounds of one operation of a call. */
export function operationBounds(clock: Clock, call: Call, limits: ClientLimits): OperationBounds {
  return {
    clock,
    role: call.principal.role,
    deadline: call.deadline.within(limits.queryMs),
    cancellation: call.cancellation,
    timings: call.timings,
    key: call.principal.keyId,
    rowBytesMax: limits.replyBytesMax,
  };
}
