/**
 * Owns: capture (logical replication into a log), the event log of each database, and its delivery: Durable Streams over HTTP, Pulse
 * over WebSocket. Events come in commit order; the log holds each once; subscribers get each at least once.
 * Never: wakes or holds a database, imports control/, authenticates (the principal is given).
 * Limits: events, bytes and age a log; cursors and subscribers a database; one transaction's memory; open log files.
 * Fails with: `stream_gone`, `quota_exceeded`, `request_invalid`, `disk_full`, `data_unusable`, `data_version`, `database_deleted`,
 * `shutting_down`.
 */
export { Capture, type CaptureOptions } from './capture.ts';
export type * from './event-log.ts';
export { DEFAULT_LOG_LIMITS, type LogLimits } from './log-file.ts';
export { EventLogs } from './log-host.ts';
