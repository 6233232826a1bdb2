import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { type DatabaseUrls, type Platform, startPlatform } from '../test/support/platform.ts';
import { runSql } from '../test/support/push-schema.ts';
import { scratch } from '../test/support/scratch.ts';
import { NoMount, reflinkDisk } from '../test/support/small-disk.ts';
import type { BenchFlags } from './flags.ts';
import { call } from './requests.ts';
import { compare, type Peer, show, table } from './rounds.ts';

/** Sizes of the table in the source, in megabytes. */
const SIZES = [10, 1000];
const ROUNDS = 3;
/** A row is about a kilobyte that does not compress. */
const ROWS_PER_MB = 1000;

/** A branch of a database that is written to, of one at rest, and the floor: `cp` and `sync` of the same files. */
export async function branch(flags: BenchFlags): Promise<string> {
  const rows: string[][] = [];
  const notes: string[] = [];
  const sizes = flags.numbers('mb', SIZES);
  const rounds = flags('rounds', ROUNDS);
  const here = scratch('bench-branch');
  try {
    rows.push(...(await onOneDisk(here.path, '', sizes, rounds)));
  } finally {
    here.remove();
  }
  try {
    const disk = reflinkDisk('xfs', 1000 + 4 * Math.max(...sizes));
    try {
      rows.push(...(await onOneDisk(disk.path, ' (XFS with reflinks)', sizes, rounds)));
    } finally {
      disk.remove();
    }
  } catch (error) {
    if (!(error instanceof NoMount)) throw error;
    notes.push(`\nNo clones: XFS cannot be made or mounted here (${error.message}).`);
  }
  const head = [
    'source',
    'how',
    'ready, s',
    'longest write meanwhile, ms',
    'longest write before, ms',
    'stood still, ms',
    'disk, MB',
  ];
  return `${table(head, rows)}${notes.join('')}`;
}

async function onOneDisk(path: string, where: string, sizes: readonly number[], rounds: number): Promise<string[][]> {
  const data = join(path, 'data');
  const rows: string[][] = [];
  const exclusive = where !== '';
  const platform = await startPlatform({
    flags: ['--data', data, '--suspend-after', 'never', '--stop-after', 'never'],
  });
  try {
    for (const mb of sizes) {
      const source = await platform.createDatabase(`source-${mb}`);
      await runSql(
        source.postgresUrl,
        `CREATE TABLE bulk AS SELECT i, (SELECT string_agg(md5((i * 31 + j)::text), '') FROM generate_series(1, 30) j) AS v
           FROM generate_series(1, ${Math.round(mb * ROWS_PER_MB)}) i;
         CREATE TABLE writes (id bigserial PRIMARY KEY, at timestamptz DEFAULT now())`,
      );
      const figures = await compare(
        [
          written(platform, source, data, exclusive),
          rested(platform, source, data, exclusive),
          floor(join(data, 'databases', source.id)),
        ],
        rounds,
      );
      for (const [name, of] of figures) {
        const maybe = (number: string, digits: number): string => {
          try {
            return show(of(number), digits);
          } catch {
            return '–';
          }
        };
        rows.push([
          `${mb} MB${where}`,
          name,
          show(of('seconds')),
          maybe('writeMs', 0),
          maybe('calmMs', 0),
          maybe('pausedMs', 0),
          maybe('diskMb', 0),
        ]);
      }
      await call(platform, 'DELETE', `/databases/${source.id}`);
    }
  } finally {
    await platform.stop();
  }
  return rows;
}

interface Branched {
  readonly id: string;
  readonly branched: { readonly way: string; readonly pausedMs: number };
}

let made = 0;

/** `exclusive`: no other process writes to the file system, and blocks may be shared. */
async function make(
  platform: Platform,
  source: DatabaseUrls,
  data: string,
  exclusive: boolean,
): Promise<Record<string, number>> {
  made += 1;
  const used = usedBytes(data);
  const startedMs = performance.now();
  const { id, branched } = await call<Branched>(platform, 'POST', `/databases/${source.id}/branches`, {
    name: `b-${made}`,
  });
  const seconds = (performance.now() - startedMs) / 1000;
  const diskMb = (exclusive ? usedBytes(data) - used : treeBytes(join(data, 'databases', id))) / 1e6;
  await call(platform, 'DELETE', `/databases/${id}`);
  return { seconds, diskMb, pausedMs: branched.pausedMs };
}

/** Branches while one client inserts single rows, each as soon as the previous one is acknowledged. */
function written(platform: Platform, source: DatabaseUrls, data: string, exclusive: boolean): Peer {
  return {
    name: 'db branch, while a client writes',
    async run() {
      const client = new pg.Client({ connectionString: source.postgresUrl });
      await client.connect();
      let over = false;
      let longestMs = 0;
      const writing = (async () => {
        while (!over) {
          const startedMs = performance.now();
          await client.query('INSERT INTO writes DEFAULT VALUES');
          longestMs = Math.max(longestMs, performance.now() - startedMs);
        }
      })();
      try {
        const before = performance.now();
        // Writes alone are measured for as long as a small branch takes.
        while (performance.now() - before < 1000) await new Promise((resolve) => setTimeout(resolve, 50));
        const calmMs = longestMs;
        longestMs = 0;
        const result = await make(platform, source, data, exclusive);
        const { diskMb, ...times } = result;
        // Where blocks are shared the file system is asked, and the source's own WAL comes and goes meanwhile.
        return { ...times, ...(exclusive ? {} : { diskMb: diskMb as number }), calmMs, writeMs: longestMs };
      } finally {
        over = true;
        await writing;
        await client.end();
      }
    },
  };
}

function rested(platform: Platform, source: DatabaseUrls, data: string, exclusive: boolean): Peer {
  return {
    name: 'db branch, of a stopped database',
    async run() {
      await call(platform, 'POST', `/databases/${source.id}/stop`);
      const { seconds, diskMb } = await make(platform, source, data, exclusive);
      return { seconds: seconds as number, diskMb: diskMb as number };
    },
  };
}

function floor(directory: string): Peer {
  const copy = `${directory}-copy`;
  return {
    name: 'cp -a and sync -f of its files',
    async run() {
      mkdirSync(copy);
      const startedMs = performance.now();
      execFileSync('cp', ['-a', '--reflink=auto', join(directory, 'pgdata'), copy]);
      execFileSync('sync', ['-f', copy]);
      const seconds = (performance.now() - startedMs) / 1000;
      if (readdirSync(copy).length === 0) throw new Error('nothing was copied');
      rmSync(copy, { recursive: true });
      return { seconds };
    },
  };
}

/** Bytes in use on the file system. */
function usedBytes(path: string): number {
  const { blocks, bfree, bsize } = statfsSync(path);
  return (blocks - bfree) * bsize;
}

/** Bytes that the files of a tree take up. */
function treeBytes(path: string): number {
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).blocks * 512, 0);
}
