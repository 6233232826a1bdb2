/**
 * Owns: opening a port for a door, and the error that says why a port could not be opened and which flag to change.
 * Never: accepts a connection, or closes the server.
 */
export { type Listening, listenOn } from './listen-on.ts';
