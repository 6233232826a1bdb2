/**
 * Owns: one server connection: opening, pipelining, cancelling, resetting, and its end.
 * Never: chooses which caller gets the connection.
 */
export { endBackend, type LeftBackend } from './backend-end.ts';
export { ConnectionLost } from './connection-lost.ts';
export { DeadlineTimer } from './deadline-timer.ts';
export { type Reached, type ReachOptions, reachServer } from './reach-server.ts';
export { recover } from './recover.ts';
export { ServerConnection } from './server-connection.ts';
export { openServerSession, type ServerSession, type ServerSessionOptions } from './server-session.ts';
export { StoredCode } from './stored-code.ts';
