/**
 * Owns: the event log of each database: its file, its thread with turns, its bounds, its cursors, and reading and
 *   following it.
 * Never: reads from Postgres, knows who reads the log.
 */
export {
  type AppendBatch,
  type ColumnDefinition,
  type CursorKey,
  type EventLog,
  type LogCursor,
  type LogState,
  type NewEvent,
  type NewTransaction,
  OMITTED,
  type Operation,
  type ReadRequest,
  type ReadResult,
  type RelationDefinition,
  type Row,
  type StoredEvent,
  type TableFacts,
  type TableName,
  UNKNOWN,
} from './event-log.ts';
export { EventLogs } from './event-logs.ts';
export {
  type Batch,
  type FollowOptions,
  follow,
  READ_EVENTS_MAX,
  readBatch,
} from './follow.ts';
export { LargeReads } from './large-reads.ts';
export { DEFAULT_LOG_LIMITS, type LogLimits } from './log-bounds.ts';
export {
  type ArrayItem,
  base64Of,
  classOf,
  compareNumbers,
  dateMs,
  decimalOf,
  elementOf,
  isoDate,
  OID,
  parseArray,
  type ValueClass,
} from './pg-text.ts';
export { comparePositions, formatOffset, ORIGIN, type Position, parseOffset } from './position.ts';
export { SubscriberCount } from './subscriber-count.ts';
