/**
 * Owns: branches: copies of a database for another one, and copies that lie ready.
 * Never: decides which database is branched, or who may.
 */
export { Branches, type BranchOptions } from './branches.ts';
