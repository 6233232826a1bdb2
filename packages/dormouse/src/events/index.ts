/**
 * Owns: capture (logical replication into a log), the event log of each database, and its delivery: Durable Streams
 *   over HTTP, Pulse over WebSocket. Events come in commit order; the log holds each once; subscribers get each at
 *   least once.
 * Never: wakes or holds a database, imports control/, decides who may read (it is given the proof).
 * Limits: events, bytes and age of a log; cursors and subscribers per database; memory of one transaction; open log
 *   files.
 * Fails with: `stream_gone`, `quota_exceeded`, `request_invalid`, `route_unknown`, `method_not_allowed`,
 *   `body_too_large`, `body_timeout`, `disk_full`, `data_unusable`, `data_version`, `database_deleted`,
 *   `shutting_down`.
 */
export { Capture, type CaptureOptions } from './capture/index.ts';
export { DatabaseEvents, type EventsOfDatabaseOptions, type EventsStatus } from './database-events.ts';
export {
  createEvents,
  DEFAULT_EVENTS_LIMITS,
  type DeliverOptions,
  type Delivery,
  type Events,
  type EventsLimits,
  type EventsOptions,
} from './events.ts';
export type {
  EventLog,
  LogCursor,
  LogState,
  Operation,
  ReadRequest,
  ReadResult,
  RelationDefinition,
  Row,
  StoredEvent,
  TableName,
} from './log/index.ts';
export {
  DEFAULT_LOG_LIMITS,
  EventLogs,
  formatOffset,
  type LogLimits,
  type Position,
  parseOffset,
} from './log/index.ts';
