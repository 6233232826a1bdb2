/**
 * Owns: the JSON text of a reply, written from the bytes of rows into one buffer.
 * Never: runs a statement, or waits. Long work is a generator that yields at the end of each slice.
 */

export { NULL } from './column-writers.ts';
export type { Enums } from './decoded-json.ts';
export { JsonWriter } from './json-writer.ts';
export { RecordWriter } from './record-writer.ts';
