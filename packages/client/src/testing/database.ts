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
  /** The database to copy: the result of `createTestTemplate`, or the name of any database. */
  readonly template: string | TestTemplate;
}

/** A throw-away database. */
export interface TestDatabase extends AsyncDisposable {
  readonly id: string;
  readonly name: string;
  /** For Prisma Client: `accelerateUrl` of 7, `datasourceUrl` of 6. */
  readonly prismaUrl: string;
  /** For any Postgres client, and for Prisma's driver adapters. */
  readonly postgresUrl: string;
  /** For `withPulse`. */
  readonly pulseUrl: string;
  readonly apiKey: string;
  /** Deletes the database. A second call does nothing. */
  drop(): Promise<void>;
}

/**
 * Makes a throw-away copy of a database. A template that is stopped is copied from its files, so nothing has to be
 * migrated again, and after the first such copy more are prepared in advance. Its writes are not synced to the disk: a
 * copy does not outlast a reboot of the machine. It is deleted by `drop`, or at the end of the block that declares it
 * with `await using`; if the suite is killed, when a later suite makes its next test database. Workers may call this at
 * the same time. Throws {@link DormouseTestingError}.
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

/** Deletes the test databases of suites that have ended. One that cannot be deleted now is left for the next call. */
export async function sweep(platform: TestPlatform): Promise<void> {
  const { databases } = await platform.request<{ databases: DatabaseItem[] }>('GET', '/api/databases');
  const nowMs = Date.now();
  const gone = databases.filter(({ name, createdAtMs, state }) => {
    const maker = makerOf(name);
    return maker !== undefined && state !== 'deleting' && !mayLive(maker, createdAtMs, nowMs);
  });
  await Promise.allSettled(gone.map(({ id }) => platform.request('DELETE', pathOf(id))));
}
