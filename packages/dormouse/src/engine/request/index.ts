/**
 * Owns: the parts that every request to the engine has: its body, limits, client version, telemetry and reply.
 * Never: plans or executes a query.
 */
export { type ClientLimits, limitsOf } from './client-limits.ts';
export { prisma7MinorOf } from './client-version.ts';
export { operationBounds } from './operation-bounds.ts';
export { jsonReply, jsonText, writtenReply, writtenWith } from './replies.ts';
export { bodyText, isObject, type JsonObject, parseBody, requestInvalid } from './request-body.ts';
export type { RequestContent } from './request-content.ts';
export { observed, operation, PRISMA6_TELEMETRY, PRISMA7_TELEMETRY, Telemetry, telemetryOf } from './telemetry.ts';
export { TextScan } from './text-scan.ts';
export { traceComment } from './trace-parent.ts';
