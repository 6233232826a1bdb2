import type {
  DatabaseDetail,
  DatabaseSummary,
  DatabaseUrls,
  KeyDetail,
  KeySummary,
  Totals,
} from '../../management-api/index.ts';
import type { DatabaseRow, KeyRow, Secrets, Usage } from '../registry/index.ts';
import type { BranchJobs } from './branch-jobs.ts';
import type { DatabaseDirectory } from './database-directory.ts';
import type { Fleet } from './fleet.ts';
import { type LimitDefaults, viewLimits } from './limits-patch.ts';
import { type RestDefaults, viewRest } from './rest-times-patch.ts';
import { type Addresses, databaseUrls, pulseUrlOf } from './urls.ts';

export interface ViewsOptions {
  readonly directory: DatabaseDirectory;
  readonly usage: Usage;
  readonly branches: BranchJobs;
  readonly secrets: Secrets;
  readonly addresses: Addresses;
  /** The times of rest of databases that have none of their own. */
  readonly rest: RestDefaults;
  /** The limits of databases that have none of their own. */
  readonly limits: LimitDefaults;
  readonly fleet: () => Fleet;
}

/** Builds what the API shows of databases and keys from the directory, the fleet, the usage counts and the secrets. */
export class Views {
  readonly #options: ViewsOptions;

  constructor(options: ViewsOptions) {
    this.#options = options;
  }

  database(row: DatabaseRow): DatabaseSummary {
    const { directory, usage, rest, limits, fleet } = this.#options;
    const { id, name, pgMajor, createdAtMs, parentId, parentName, throwAwayBoot } = row;
    const [latest] = usage.ofDatabase(id);
    return {
      id,
      name,
      state: this.#state(row),
      pgMajor,
      createdAtMs,
      parent: parentId === null || parentName === null ? null : { id: parentId, name: parentName },
      throwAway: throwAwayBoot !== null,
      keys: directory.keysOf(id).filter(({ revokedAtMs }) => revokedAtMs === null).length,
      operationsToday: latest?.day === usage.today() ? latest.operations : 0,
      rest: viewRest(rest, row.rest),
      limits: viewLimits(limits, row.limits),
      memoryBytes: row.lifecycle === 'ready' ? (fleet().memoryBytes(id) ?? null) : null,
    };
  }

  async databaseInDetail(row: DatabaseRow): Promise<DatabaseDetail> {
    const { directory, usage, branches, addresses, fleet } = this.#options;
    const key = directory.keysOf(row.id).find(({ role, revokedAtMs }) => role === 'owner' && revokedAtMs === null);
    const urls = key
      ? this.#urls(key)
      : { prismaUrl: null, postgresUrl: null, pulseUrl: pulseUrlOf(addresses), apiKey: null };
    const instance = row.lifecycle === 'ready' ? await fleet().describe(row.id) : {};
    return {
      ...this.database(row),
      ...urls,
      usage: usage.ofDatabase(row.id),
      instance,
      progress: branches.progressOf(row.id),
      branched: branches.resultOf(row.id) ?? null,
    };
  }

  keys(rows: readonly KeyRow[]): readonly KeySummary[] {
    const today = this.#options.usage.todayBy(({ keyId }) => keyId);
    return rows.map(({ id, role, label, createdAtMs, revokedAtMs }) => {
      return { id, role, label, createdAtMs, revokedAtMs, operationsToday: today.get(id) ?? 0 };
    });
  }

  key(row: KeyRow): KeySummary {
    return this.keys([row])[0] as KeySummary;
  }

  keyInDetail(row: KeyRow): KeyDetail {
    return { ...this.key(row), ...this.#urls(row) };
  }

  totals(): Totals {
    const { directory, usage } = this.#options;
    const byState: Record<string, number> = {};
    for (const row of directory.all()) {
      const state = this.#state(row);
      byState[state] = (byState[state] ?? 0) + 1;
    }
    return {
      databases: { total: directory.size, byState },
      operationsToday: usage.todayBy(() => '').get('') ?? 0,
    };
  }

  #state(row: DatabaseRow): string {
    return row.lifecycle === 'ready' ? this.#options.fleet().state(row.id) : row.lifecycle;
  }

  #urls(key: KeyRow): DatabaseUrls {
    const { addresses, secrets } = this.#options;
    return databaseUrls(addresses, key.id, secrets.apiKey(key), secrets.tcpSecret(key.id));
  }
}
