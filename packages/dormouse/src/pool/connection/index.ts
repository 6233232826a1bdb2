/**
 * Owns: one server connection: opening, pipelining, cancelling, resetting, and its end.
 * Never: chooses which caller gets it.
 */
export { endBackend, type LeftBackend } from './backend-end.ts';
export { sendCancelRequest } from './cancel-request.ts';
export { type Connect, connectSocket, type ServerSocket } from './connect.ts';
export { ConnectionLost } from './connection-lost.ts';
export { DeadlineTimer } from './deadline-timer.ts';
export { type HandshakeOptions, type OpenedSession, openSession, opensLater } from './handshake.ts';
export { recover } from './recover.ts';
export { Backend } from './server-connection.ts';
export { StoredCode } from './stored-code.ts';
