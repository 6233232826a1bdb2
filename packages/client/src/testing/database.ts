import { makerOf, mayLive, testName, thisMaker } from './names.ts';
import {
  type DatabaseDetail,
  type DatabaseItem,
  findTestPlatform,
  type PlatformOptions,
  pathOf,
  type TestPlatform,
  unless,
} from './platform.ts';
import type { TestTemplate } from './template.ts';

export interface TestDatabaseOptions extends PlatformOptions {
  /** The database to copy: what `createTestTemplate` gave, or the name of any. */
  readonly template: string | TestTemplate;
}

/** A throw-away database. */
export interface TestDatabase extends AsyncDisposable {
  readonly id: string;
  readonly name: string;
  /** For Prisma Client: `accelerateUrl` of 7, `datasourceUrl` of 6. */
  readonly prismaUrl: string;
  /** For any Postgres client, and for driver adapters. */
  readonly postgresUrl: string;
  /** For `withPulse`. */
  readonly pulseUrl: string;
  readonly apiKey: string;
  /** Deletes it. Repeated, it does nothing. */
  drop(): Promise<void>;
}

/**
 * Makes a throw-away copy of a database: a template that is stopped is copied from its files, so nothing has to be
 * migrated again, and after the first such copy others lie ready. Nothing of it is synced to the disk: it does not
 * outlive a boot of the machine. It lives until `drop`, or the end of the block that it is declared in with `await
 * using`; if the suite is killed, until the next test database is made after it. Workers may call it at the same time.
 * Throws {@link DormouseTestingError}.
 */
export async function createTestDatabase(options: TestDatabaseOptions): Promise<TestDatabase> {
  const platform = await findTestPlatform(options);
  const template = typeof options.template === 'string' ? options.template : options.template.name;
  const name = testName(template, thisMaker());
  const [made] = await Promise.all([
    platform.request<DatabaseDetail>('POST', `${pathOf(template)}/branches`, { name, throwAway: true }),
    sweep(platform),
  ]);
  const { id, prismaUrl, postgresUrl, pulseUrl, apiKey } = made;
  const drop = async (): Promise<void> => {
    await unless(['database_unknown', 'database_deleted'], platform.request('DELETE', pathOf(id)));
  };
  return { id, name, prismaUrl, postgresUrl, pulseUrl, apiKey, drop, [Symbol.asyncDispose]: drop };
}

/** Deletes the test databases of suites that are gone. What cannot be deleted now is left for the next time. */
export async function sweep(platform: TestPlatform): Promise<void> {
  const { databases } = await platform.request<{ databases: DatabaseItem[] }>('GET', '/api/databases');
  const nowMs = Date.now();
  const gone = databases.filter(({ name, createdAtMs, state }) => {
    const maker = makerOf(name);
    return maker !== undefined && state !== 'deleting' && !mayLive(maker, createdAtMs, nowMs);
  });
  await Promise.allSettled(gone.map(({ id }) => platform.request('DELETE', pathOf(id))));
}
