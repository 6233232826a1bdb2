import { execFile, execFileSync } from 'node:child_process';
import { chownSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { postgresBinaries } from '../test/support/plain-postgres.ts';
import { startPlatform } from '../test/support/platform.ts';
import { scratch } from '../test/support/scratch.ts';
import { compare, show, table } from './rounds.ts';

/** A new database by the API, and to its first query over TCP, beside `initdb` alone. */
export async function create(): Promise<string> {
  const platform = await startPlatform();
  const bin = await postgresBinaries();
  const home = scratch('initdb');
  const user = account();
  if (user !== undefined) chownSync(home.path, user.uid, user.gid);
  let count = 0;
  try {
    const figures = await compare([
      {
        name: 'Dormouse',
        async run() {
          count += 1;
          const start = performance.now();
          const reply = await fetch(`${platform.http}/api/databases`, {
            method: 'POST',
            headers: { authorization: `Bearer ${platform.adminToken}`, 'content-type': 'application/json' },
            body: JSON.stringify({ name: `bench-${count}` }),
          });
          const { postgresUrl } = (await reply.json()) as { postgresUrl: string };
          const created = performance.now() - start;
          const client = new pg.Client({ connectionString: postgresUrl });
          await client.connect();
          await client.query('SELECT 1');
          const queried = performance.now() - start;
          await client.end();
          return { created, queried };
        },
      },
      {
        name: 'initdb (no start)',
        async run() {
          count += 1;
          const data = join(home.path, String(count));
          const start = performance.now();
          await promisify(execFile)(
            join(bin, 'initdb'),
            ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C'],
            { ...user, cwd: home.path },
          );
          const created = performance.now() - start;
          rmSync(data, { recursive: true });
          return { created };
        },
      },
    ]);
    const rows = [...figures].map(([name, value]) => [
      name,
      show(value('created'), 0),
      name === 'Dormouse' ? show(value('queried'), 0) : '–',
    ]);
    return table(['', 'created, ms', 'first query answered, ms'], rows);
  } finally {
    home.remove();
    await platform.stop();
  }
}

function account(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}
