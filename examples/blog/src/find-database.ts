import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** The database that the blog lives in. */
export interface BlogDatabase {
  readonly name: string;
  readonly prismaUrl: string;
  readonly postgresUrl: string;
  /** Puts the database to sleep; undefined when only URLs are known, which give no right to command the platform. */
  readonly sleep: ((how: 'suspend' | 'stop') => Promise<void>) | undefined;
}

const NAME = 'blog';

/**
 * Takes DATABASE_URL and POSTGRES_URL if they are set. Otherwise asks the running platform for a database, which is
 * created if it does not exist.
 */
export async function findDatabase(): Promise<BlogDatabase> {
  const { DATABASE_URL: prismaUrl, POSTGRES_URL: postgresUrl } = process.env;
  if (prismaUrl !== undefined) {
    if (postgresUrl === undefined) {
      throw new Error(
        'DATABASE_URL is set but POSTGRES_URL is not: set both, as `npx dormouse db show NAME` prints them.',
      );
    }
    return { name: 'of DATABASE_URL', prismaUrl, postgresUrl, sleep: undefined };
  }
  const databases = JSON.parse(await dormouse('db', 'list', '--json')) as { name: string }[];
  const verb = databases.some(({ name }) => name === NAME) ? 'show' : 'create';
  const urls = JSON.parse(await dormouse('db', verb, NAME, '--json')) as BlogDatabase;
  return {
    name: NAME,
    prismaUrl: urls.prismaUrl,
    postgresUrl: urls.postgresUrl,
    sleep: async (how) => void (await dormouse('db', how, NAME)),
  };
}

/**
 * Runs the command line, which finds the running platform by itself, from where `npm run` was called.
 * Flags of this app (`npm run blog -- --data DIR`) are passed on to it.
 */
async function dormouse(...words: string[]): Promise<string> {
  try {
    const run = promisify(execFile);
    return (await run('dormouse', [...words, ...process.argv.slice(2)], { cwd: process.env.INIT_CWD })).stdout;
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string };
    if (code === 'ENOENT') throw new Error('there is no `dormouse` to call: start this with `npm run blog`.');
    const said = stderr?.trim();
    if (!said) throw error;
    throw new Error(`${said}\nThe platform runs in another terminal: npm start`);
  }
}
