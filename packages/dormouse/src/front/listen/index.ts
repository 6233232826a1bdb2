/**
 * Owns: a port that is open before its door is built, and the connections that wait for the door meanwhile; the error
 *   that says why a port could not be opened and which flag to change.
 * Never: reads from a connection, or knows what a door serves.
 */
export { type OpenPort, openPort } from './open-port.ts';
