/**
 * Owns: delivery of a log to readers: Durable Streams over HTTP and Pulse over WebSocket, filters, and the cursors of
 *   readers.
 * Never: writes events, decides who may read.
 */
export { PulseDoor } from './pulse.ts';
export { StreamsDoor } from './streams.ts';
