/**
 * Owns: the stored records of databases, keys and usage: the data directory, the registry file, the catalog in
 *   memory, and the secrets.
 * Never: starts a database.
 */
export { DATA_FORMAT, type DataDirectory, type DataDirectoryOptions, openDataDirectory } from './data-directory.ts';
export { Secrets } from './key-secrets.ts';
export { MemoryCatalog } from './memory-catalog.ts';
export { type DatabaseRow, type KeyRow, Registry } from './registry.ts';
export { Usage } from './usage.ts';
