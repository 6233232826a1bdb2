import { spawn } from 'node:child_process';
import { sweep } from './database.ts';
import { DormouseTestingError } from './errors.ts';
import { fingerprint } from './fingerprint.ts';
import { checkPrefix, isTemplateOf, type Maker, mayLive, templateName, thisMaker } from './names.ts';
import {
  type DatabaseDetail,
  type DatabaseItem,
  findTestPlatform,
  type PlatformOptions,
  pathOf,
  type TestPlatform,
  unless,
} from './platform.ts';

/** The URLs of a database that is being prepared. */
export interface TemplateUrls {
  readonly prismaUrl: string;
  readonly postgresUrl: string;
}

export interface TestTemplateOptions extends PlatformOptions {
  /** The beginning of the template's name: a-z, 0-9 and dashes, at most 24 characters. One per application. */
  readonly name: string;
  /**
   * Brings an empty database to the state that tests start from: a shell command, run with the database's Postgres URL
   * in DATABASE_URL and DIRECT_URL (`npx prisma migrate deploy`); or a function.
   */
  readonly migrate: string | ((urls: TemplateUrls) => unknown);
  /**
   * Files and folders (`prisma/migrations`, a seed script) that decide the template's content: when they change,
   * another template is made.
   */
  readonly from?: string | readonly string[];
  /** Anything else that decides the template's content: another text makes another template. */
  readonly version?: string;
  /** Where `migrate` runs and `from` is looked up; by default the working directory. */
  readonly directory?: string;
}

/** A database that tests are copied from. */
export interface TestTemplate {
  readonly name: string;
}

/**
 * The state of a template is the label of one of its keys: {@link READY} once the template is whole, before that
 * {@link MAKING}, which names its maker.
 */
const READY = 'dormouse testing: ready';
const MAKING = /^dormouse testing: made by (?<host>[0-9a-f]+) (?<pid>\d+) (?<start>\w+)$/;
/** A template without a label counts as being made for this long after its creation. */
const UNMARKED_MS = 30_000;
/** The pause between two checks of a template that another process makes. */
const LOOK_MS = 100;
/** Templates of an older content are deleted after a week. */
const OLD_MS = 7 * 24 * 60 * 60_000;
/** Characters of a command's output that go into the error: the last ones. */
const OUTPUT_CHARS = 4000;

/**
 * Gives the template of this name and content, and makes it if there is none: once, even if many processes ask at the
 * same time. For the global set-up of a test runner. Also deletes the test databases of suites that have ended, and
 * templates of other contents that are older than a week. Throws {@link DormouseTestingError}, and any error that the
 * function `migrate` throws; a template whose making failed is deleted.
 */
export async function createTestTemplate(options: TestTemplateOptions): Promise<TestTemplate> {
  checkPrefix(options.name);
  const directory = options.directory ?? process.cwd();
  const from = options.from === undefined ? [] : typeof options.from === 'string' ? [options.from] : options.from;
  const command = typeof options.migrate === 'string' ? options.migrate : '';
  const name = templateName(options.name, await fingerprint([command, options.version ?? ''], from, directory));
  const platform = await findTestPlatform(options);
  await Promise.all([sweep(platform), forgetOld(platform, options.name, name)]);
  for (;;) {
    const made = await unless(['name_taken'], platform.request<DatabaseDetail>('POST', '/api/databases', { name }));
    if (made !== undefined) {
      await make(platform, made, options, directory);
      return { name };
    }
    if (await isReady(platform, name)) return { name };
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

async function make(
  platform: TestPlatform,
  made: DatabaseDetail,
  options: TestTemplateOptions,
  directory: string,
): Promise<void> {
  const { id, prismaUrl, postgresUrl } = made;
  const { host, pid, start } = thisMaker();
  const mark = (label: string): Promise<unknown> =>
    platform.request('POST', `${pathOf(id)}/keys`, { role: 'reader', label });
  try {
    await mark(`dormouse testing: made by ${host} ${pid} ${start}`);
    if (typeof options.migrate === 'string') await runCommand(options.migrate, postgresUrl, directory);
    else await options.migrate({ prismaUrl, postgresUrl });
    // After a clean stop the files are all that a copy needs.
    await platform.request('POST', `${pathOf(id)}/stop`);
    await mark(READY);
  } catch (error) {
    await platform.request('DELETE', pathOf(id)).catch(() => {});
    throw error;
  }
}

/** True if an existing template is whole. A template that is not whole and whose maker has ended is deleted. */
async function isReady(platform: TestPlatform, name: string): Promise<boolean> {
  const gone = ['database_unknown', 'database_deleted', 'database_busy'];
  const found = await unless(gone, platform.request<DatabaseItem>('GET', pathOf(name)));
  const listed = await unless(
    gone,
    platform.request<{ keys: { label: string | null }[] }>('GET', `${pathOf(name)}/keys`),
  );
  if (found === undefined || listed === undefined) return false;
  const labels = listed.keys.map(({ label }) => label ?? '');
  if (labels.includes(READY)) return true;
  const maker = labels.map((label) => MAKING.exec(label)?.groups).find((groups) => groups !== undefined);
  const nowMs = Date.now();
  const lives =
    maker === undefined
      ? nowMs - found.createdAtMs < UNMARKED_MS
      : mayLive({ ...maker, pid: Number(maker.pid) } as Maker, found.createdAtMs, nowMs);
  if (!lives) await unless(gone, platform.request('DELETE', pathOf(found.id)));
  return false;
}

async function forgetOld(platform: TestPlatform, prefix: string, current: string): Promise<void> {
  const { databases } = await platform.request<{ databases: DatabaseItem[] }>('GET', '/api/databases');
  const nowMs = Date.now();
  const old = databases.filter(
    ({ name, createdAtMs }) => isTemplateOf(prefix, name) && name !== current && nowMs - createdAtMs > OLD_MS,
  );
  await Promise.allSettled(old.map(({ id }) => platform.request('DELETE', pathOf(id))));
}

function runCommand(command: string, postgresUrl: string, directory: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, {
      shell: true,
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, DATABASE_URL: postgresUrl, DIRECT_URL: postgresUrl },
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-OUTPUT_CHARS);
      });
    }
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else
        reject(
          new DormouseTestingError(
            'migration',
            `\`${command}\` ended with ${signal ?? `exit code ${code}`}:\n${output.trim()}`,
          ),
        );
    });
  });
}
