/**
 * Owns: one session with a Postgres server over a given stream: start-up and password, the settings that each kind of
 *   session brings along, statements by the simple query protocol, streams of COPY, and cancel requests.
 * Never: wakes a server, decides who may have a session, prepares statements, opens a session again that has ended.
 * Limits: bytes of one message during the start-up, and after it by the session's own bound; time as far as the caller
 *   gives a deadline.
 * Fails with: `PostgresError` (the server's own), `ProtocolError`, `ScramError`, `StreamLost`, `connection_timeout`,
 *   `interrupted`.
 */
export { type CancelTarget, sendCancelRequest } from './cancel-request.ts';
export type { PasswordLogin } from './login-exchange.ts';
export { type OpenedSession, type OpenOptions, openSession, opensLater, StreamLost } from './open-session.ts';
export { type Connect, connectSocket, type Endpoint, type ServerSocket } from './server-socket.ts';
export { loginSettings, type SessionKind } from './session-settings.ts';
export { type CopyReader, SimpleSession, type SimpleSessionOptions, type TextRow } from './simple-session.ts';
