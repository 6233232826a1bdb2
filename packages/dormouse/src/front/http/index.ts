/**
 * Owns: the HTTP door: sockets, bodies and their bounds, the table of mounts (management API, dashboard, streams),
 *   upgrades, graceful close.
 * Never: knows what a query is, authenticates, builds a Request or Response object.
 * Limits: body bytes and time, header bytes and time, connections, time of a graceful close.
 * Fails with: the errors of the mounts and of the edge; answers `body_too_large`, `body_timeout`, `headers_too_large`,
 *   `request_invalid`, `route_unknown`, `shutting_down` itself.
 */
export {
  createHttpDoor,
  DEFAULT_HTTP_LIMITS,
  type HttpDoor,
  type HttpDoorOptions,
  type HttpLimits,
} from './http-door.ts';
export type { Mount, ReplyHandler, StreamHandler, UpgradeHandler } from './mounts.ts';
export { nodeHash } from './node-hash.ts';
export { NodeRequest } from './node-request.ts';
export { redirect, staticFiles } from './static-files.ts';
