/**
 * Owns: queries with large bodies, in threads of their own. A thread takes the body as bytes and reads, plans,
 *   compiles, binds and answers it by the same code as the main thread; statements and rows pass through the main
 *   thread.
 * Never: holds up the main loop for longer than it takes to hand over one statement or some hundred kilobytes of rows;
 *   puts requests of two databases into one thread at the same time.
 * Limits: threads, requests and memory per thread, bytes of bodies that wait, time to read and compile one body.
 * Fails with: what the engine fails with; `queue_full`; `query_timeout`; `query_invalid` for a request that outgrows
 *   its thread, and `interrupted` for the requests that shared the thread with it.
 */
export { LargeBodyRequests } from './large-body-requests.ts';
