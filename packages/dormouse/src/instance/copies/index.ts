/**
 * Owns: copies of a server's files: clones, copies of a stopped directory, base backups of a running server, spare
 *   copies of the template, and ready copies of databases.
 * Never: decides what the copy is for.
 */
export { canClone, forkStorage } from './fork.ts';
export { FileReadyCopies } from './ready-copies.ts';
export { Spares } from './spares.ts';
export { makeStorage } from './storage.ts';
