/**
 * Owns: copies of a server's files: clones of a stopped directory, base backups of a running one, spare copies of the
 *   template.
 * Never: decides what the copy is for.
 */
export { canClone, forkStorage } from './fork.ts';
export { FileReadyCopies } from './ready-copies.ts';
export { Spares } from './spares.ts';
export { makeStorage } from './storage.ts';
