/**
 * Owns: the records that a statement returned, as undecoded rows, and the operations on them that Prisma's runtime
 * does in memory. Never: writes JSON, or runs a statement.
 */

export { plainOf, valueNode } from './plain-values.ts';
export { processRecords, type RecordOperations } from './record-operations.ts';
export { type Attachment, columnOf, RecordSet } from './record-set.ts';
export { decodedColumns, matchChildren, recordKeys } from './record-values.ts';
export { RowReader } from './row-reader.ts';
export { countOf, isEmpty, type Rule, satisfies } from './rules.ts';
