import {
  CLIENT_VERSIONS,
  type ClientVersion,
  type Loose,
  loadClient,
  loadOracle6,
  requireOf,
  type World,
} from './clients.ts';
import { startPlainPostgres } from './plain-postgres.ts';
import { type DatabaseUrls, type Platform, startPlatform } from './platform.ts';
import { pushSchema } from './push-schema.ts';
import { startVendorExecutor } from './vendor-executor.ts';

/**
 * What stands behind the clients of a suite: the platform, or, with DORMOUSE_TEST_TARGET=vendor, the vendor's own
 * engines over a plain Postgres. The second proves the suite itself: what fails there is wrong in the suite.
 */
export type TargetKind = 'platform' | 'vendor';

/** One database with the suites' tables, reached by one version of the stock client. */
export interface Target {
  readonly kind: TargetKind;
  readonly version: ClientVersion;
  /** A superuser's or owner's URL over TCP. */
  readonly postgresUrl: string;
  /** The platform and its database; only for the kind `platform`. */
  readonly platform: Platform | undefined;
  readonly database: DatabaseUrls | undefined;
  /** The module of the generated client: `PrismaClient`, `Prisma`. */
  readonly module: Loose;
  /** A new PrismaClient; closed with the target. */
  open(options?: Record<string, unknown>): Loose;
}

export interface Targets {
  /** Set by DORMOUSE_TEST_TARGET. */
  readonly kind: TargetKind;
  of(version: ClientVersion): Target;
  stop(): Promise<void>;
}

export function targetKind(): TargetKind {
  const name = process.env.DORMOUSE_TEST_TARGET ?? 'platform';
  if (name !== 'platform' && name !== 'vendor') throw new Error(`DORMOUSE_TEST_TARGET=${name}: platform or vendor`);
  return name;
}

/** Constructor options of a client that reaches `prismaUrl`. */
export function clientOptions(version: ClientVersion, prismaUrl: string): Record<string, unknown> {
  return version === 6 ? { datasourceUrl: prismaUrl } : { accelerateUrl: prismaUrl };
}

/** Starts the target that DORMOUSE_TEST_TARGET names, with one database per client version. */
export async function startTargets(
  options: {
    readonly versions?: readonly ClientVersion[];
    readonly kind?: TargetKind;
    readonly flags?: readonly string[];
    readonly schema?: boolean;
    /** The data model; the library unless told. */
    readonly world?: World;
  } = {},
): Promise<Targets> {
  const kind = options.kind ?? targetKind();
  const { world } = options;
  const versions = options.versions ?? CLIENT_VERSIONS;
  const targets = new Map<ClientVersion, Target>();
  const stops: (() => Promise<unknown>)[] = [];
  const clients: Loose[] = [];

  function open(module: Loose, base: Record<string, unknown>, more: Record<string, unknown> | undefined): Loose {
    const client = new module.PrismaClient({ ...base, ...more });
    clients.push(client);
    return client;
  }

  async function stop(): Promise<void> {
    for (const client of clients) await client.$disconnect().catch(() => {});
    for (const each of stops.reverse()) await each();
  }

  try {
    if (kind === 'platform') {
      const platform = await startPlatform({ flags: options.flags ?? [] });
      stops.push(() => platform.stop());
      for (const version of versions) {
        const database = await platform.createDatabase(`prisma-${version}`);
        if (options.schema !== false) await pushSchema(database.postgresUrl, version, world);
        const module = await loadClient(version, world);
        const base = clientOptions(version, database.prismaUrl);
        targets.set(version, {
          kind,
          version,
          postgresUrl: database.postgresUrl,
          platform,
          database,
          module,
          open: (more) => open(module, base, more),
        });
      }
    } else {
      const postgres = await startPlainPostgres();
      stops.push(() => postgres.stop());
      for (const version of versions) {
        const postgresUrl = await postgres.createDatabase(`prisma_${version}`);
        if (options.schema !== false) await pushSchema(postgresUrl, version, world);
        let module: Loose;
        let base: () => Record<string, unknown>;
        if (version === 6) {
          module = await loadOracle6(world);
          const { PrismaPg } = requireOf(6)('@prisma/adapter-pg');
          base = () => ({ adapter: new PrismaPg({ connectionString: postgresUrl, max: 10 }) });
        } else {
          module = await loadClient(7, world);
          const executor = await startVendorExecutor(postgresUrl);
          stops.push(() => executor.stop());
          base = () => clientOptions(7, executor.accelerateUrl);
        }
        targets.set(version, {
          kind,
          version,
          postgresUrl,
          platform: undefined,
          database: undefined,
          module,
          open: (more) => open(module, base(), more),
        });
      }
    }
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    kind,
    of(version) {
      const target = targets.get(version);
      if (target === undefined) throw new Error(`no target for Prisma ${version}`);
      return target;
    },
    stop,
  };
}
