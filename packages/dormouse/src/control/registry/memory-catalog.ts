import type { Catalog, DatabaseId, DatabaseRecord, KeyId, KeyRecord } from '../../base/index.ts';
import type { Secrets } from './key-secrets.ts';
import type { DatabaseRow, KeyRow } from './registry.ts';
import type { Usage } from './usage.ts';

/**
 * Databases and keys in memory, for the path of every query. Control always writes the registry first, so everything in
 * the catalog is also on disk.
 */
export class MemoryCatalog implements Catalog {
  readonly #secrets: Pick<Secrets, 'tcpSecret'>;
  readonly #usage: Pick<Usage, 'count'>;
  readonly #databases = new Map<DatabaseId, DatabaseRecord>();
  readonly #keys = new Map<KeyId, KeyRecord>();

  constructor(secrets: Pick<Secrets, 'tcpSecret'>, usage: Pick<Usage, 'count'>) {
    this.#secrets = secrets;
    this.#usage = usage;
  }

  database(id: DatabaseId): DatabaseRecord | undefined {
    return this.#databases.get(id);
  }

  key(id: KeyId): KeyRecord | undefined {
    return this.#keys.get(id);
  }

  secret(id: KeyId): string | undefined {
    return this.#keys.has(id) ? this.#secrets.tcpSecret(id) : undefined;
  }

  count(keyId: KeyId, databaseId: DatabaseId, operations: number): void {
    this.#usage.count(keyId, databaseId, operations);
  }

  putDatabase({ id, kind, name, pgMajor, createdAtMs, rest, limits, throwAwayBoot }: DatabaseRow): void {
    this.#databases.set(id, {
      ...{ id, kind, name, pgMajor, createdAtMs, rest, limits },
      ...(throwAwayBoot === null ? {} : { throwAway: true }),
    });
  }

  putKey({ id, databaseId, role, revokedAtMs }: KeyRow): void {
    this.#keys.set(id, { id, databaseId, role, revoked: revokedAtMs !== null });
  }

  removeDatabase(id: DatabaseId): void {
    this.#databases.delete(id);
    for (const key of this.#keys.values()) if (key.databaseId === id) this.#keys.delete(key.id);
  }
}
