/**
 * Owns: the login of a Postgres client: its first messages, the password by SCRAM, the database that it asks for, and
 *   the startup parameters that its session in the server gets.
 * Never: connects to a server; serves a statement.
 */
export { isMissing, MAIN_DATABASE, missingDatabase, wantedDatabase } from './database-name.ts';
export { type Login, login } from './login.ts';
export { HungUp, LoginStream } from './login-stream.ts';
export { serverParameters } from './startup-parameters.ts';
export { Verifiers } from './verifiers.ts';
