import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { chmod, chown, cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { postgresBinaries } from '../test/support/plain-postgres.ts';
import { scratch } from '../test/support/scratch.ts';

/** The baseline: a server with the data directory and settings of a Dormouse database, but without the platform. */
export interface BarePostgres {
  /** Spawns `postgres` and gives a client after its first answer. */
  startAndQuery(): Promise<pg.Client>;
  stop(): Promise<void>;
  freeze(): void;
  thaw(): void;
  remove(): Promise<void>;
}

function account(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

function tree(root: number): number[] {
  const children = readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return (
        readFileSync(`/proc/${name}/stat`, 'latin1')
          .replace(/^.*\) /s, '')
          .split(' ')[1] === String(root)
      );
    } catch {
      return false;
    }
  });
  return [root, ...children.map(Number)];
}

/** Copies a template's data directory. */
export async function barePostgres(template: string): Promise<BarePostgres> {
  const bin = await postgresBinaries();
  const home = scratch('bare-postgres');
  const user = account();
  const data = join(home.path, 'pgdata');
  const run = join(home.path, 'run');
  await cp(template, data, { recursive: true });
  await mkdir(run);
  if (user !== undefined) {
    execFileSync('chown', ['-R', `${user.uid}:${user.gid}`, home.path]);
    await chown(run, user.uid, user.gid);
  }
  await chmod(data, 0o700);
  let server: ChildProcess | undefined;
  let frozen: number[] = [];
  return {
    async startAndQuery() {
      server = spawn(join(bin, 'postgres'), ['-D', data], { ...user, stdio: 'ignore', cwd: '/', detached: true });
      for (;;) {
        const client = new pg.Client({ host: run, user: 'owner', database: 'postgres' });
        client.on('error', () => {});
        try {
          await client.connect();
          await client.query('SELECT 1');
          return client;
        } catch {
          await client.end().catch(() => {});
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      }
    },
    async stop() {
      const ended = new Promise((resolve) => server?.once('exit', resolve));
      server?.kill('SIGINT');
      await ended;
    },
    freeze() {
      frozen = tree(server?.pid as number);
      for (const pid of frozen) process.kill(pid, 'SIGSTOP');
    },
    thaw() {
      for (const pid of frozen) process.kill(pid, 'SIGCONT');
    },
    async remove() {
      await rm(home.path, { recursive: true, force: true });
      home.remove();
    },
  };
}
