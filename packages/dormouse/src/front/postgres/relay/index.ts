/**
 * Owns: the bytes between a client and its session in the server, both ways, and from them whether the session is idle.
 * Never: reads SQL, changes a message, opens a session.
 */
export { Relay } from './relay.ts';
