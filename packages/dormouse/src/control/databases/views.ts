import type { DatabaseId, KeyId, Role } from '../../base/index.ts';
import type { ForkResult } from '../../instance/index.ts';
import type { DatabaseRow, KeyRow, Secrets, Usage } from '../registry/index.ts';
import type { BranchJobs, BranchProgress } from './branch-jobs.ts';
import type { Roster } from './database-directory.ts';
import type { Fleet } from './fleet.ts';
import { type LimitDefaults, type LimitsView, viewLimits } from './limits-patch.ts';
import { type RestDefaults, type RestView, viewRest } from './rest-patch.ts';
import { type Addresses, type DatabaseUrls, databaseUrls, pulseUrlOf } from './urls.ts';

/** A database as lists show it. */
export interface DatabaseSummary {
  readonly id: DatabaseId;
  readonly name: string;
  /** InstanceState, or `creating`, `deleting`. */
  readonly state: string;
  readonly pgMajor: number;
  readonly createdAtMs: number;
  /** What it is a branch of, as that was called then; it may be gone. */
  readonly parent: { readonly id: DatabaseId; readonly name: string } | null;
  /** Made for a test: see `BranchWish`. */
  readonly throwAway: boolean;
  /** Keys that are not revoked. */
  readonly keys: number;
  readonly operationsToday: number;
  readonly rest: RestView;
  readonly limits: LimitsView;
  /** What its server takes (PSS), as measured last; null if that is not known (yet). */
  readonly memoryBytes: number | null;
}

/** A database with its addresses; those of a key are null when no owner key is live. */
export interface DatabaseDetail extends DatabaseSummary {
  readonly prismaUrl: string | null;
  readonly postgresUrl: string | null;
  readonly pulseUrl: string;
  readonly apiKey: string | null;
  readonly usage: readonly { readonly day: string; readonly operations: number }[];
  readonly instance: Readonly<Record<string, unknown>>;
  /** How far a branch in the making is. */
  readonly progress: BranchProgress | null;
  /** How a branch was made, if that was not long ago. */
  readonly branched: ForkResult | null;
}

export interface KeySummary {
  readonly id: KeyId;
  readonly role: Role;
  readonly label: string | null;
  readonly createdAtMs: number;
  readonly revokedAtMs: number | null;
  readonly operationsToday: number;
}

export interface KeyDetail extends KeySummary, DatabaseUrls {}

/** Counts of databases by state, and of today's operations. */
export interface Totals {
  readonly databases: { readonly total: number; readonly byState: Readonly<Record<string, number>> };
  readonly operationsToday: number;
}

export interface ViewsOptions {
  readonly roster: Roster;
  readonly usage: Usage;
  readonly branches: BranchJobs;
  readonly secrets: Secrets;
  readonly addresses: Addresses;
  /** How databases rest that have nothing of their own. */
  readonly rest: RestDefaults;
  /** What databases may take that have no limits of their own. */
  readonly limits: LimitDefaults;
  readonly fleet: () => Fleet;
}

/**
 * Databases and keys as they are shown: the roster, together with what the fleet, the counters and the secrets say of
 * them.
 */
export class Views {
  readonly #options: ViewsOptions;

  constructor(options: ViewsOptions) {
    this.#options = options;
  }

  database(row: DatabaseRow): DatabaseSummary {
    const { roster, usage, rest, limits, fleet } = this.#options;
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
      keys: roster.keysOf(id).filter(({ revokedAtMs }) => revokedAtMs === null).length,
      operationsToday: latest?.day === usage.today() ? latest.operations : 0,
      rest: viewRest(rest, row.rest),
      limits: viewLimits(limits, row.limits),
      memoryBytes: row.lifecycle === 'ready' ? (fleet().memoryBytes(id) ?? null) : null,
    };
  }

  async databaseInDetail(row: DatabaseRow): Promise<DatabaseDetail> {
    const { roster, usage, branches, addresses, fleet } = this.#options;
    const key = roster.keysOf(row.id).find(({ role, revokedAtMs }) => role === 'owner' && revokedAtMs === null);
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
    const { roster, usage } = this.#options;
    const byState: Record<string, number> = {};
    for (const row of roster.all()) {
      const state = this.#state(row);
      byState[state] = (byState[state] ?? 0) + 1;
    }
    return {
      databases: { total: roster.size, byState },
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
