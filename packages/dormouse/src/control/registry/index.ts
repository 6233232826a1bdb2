/**
 * Owns: what is stored of databases, keys and usage: the registry file, the catalog in memory, secrets, the data
 *   directory.
 * Never: starts a database.
 */
export { DATA_FORMAT, type DataDirectory, type DataDirectoryOptions, openDataDirectory } from './data-directory.ts';
export { MemoryCatalog } from './memory-catalog.ts';
export { type DatabaseRow, type KeyRow, Registry } from './registry.ts';
export { Secrets } from './secrets.ts';
export { Usage } from './usage.ts';
