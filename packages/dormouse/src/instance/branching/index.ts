/**
 * Owns: branches: databases that begin as a copy of another one.
 * Never: decides which database is branched, or which caller may do so.
 */
export { Branches, type BranchOptions } from './branches.ts';
