/**
 * Owns: requests with large bodies, in threads of their own: a body is handed over as bytes, read, planned, compiled,
 *   bound and answered there by the same code as elsewhere; statements and rows go over the main thread.
 * Never: holds up the main loop for longer than handing over one statement or some hundred kilobytes of rows takes;
 *   puts requests of two databases into one thread at a time.
 * Limits: threads, requests and memory a thread, bytes that wait, time to read and compile one body.
 * Fails with: what the engine fails with, `queue_full`, `query_timeout`, `query_invalid` for what outgrows a thread,
 *   `interrupted` for what shared a thread with that.
 */
export { LargeBodyRequests } from './large-body-requests.ts';
