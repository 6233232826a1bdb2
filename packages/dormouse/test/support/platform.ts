import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { prepareDataDirectory } from './data-directory.ts';
import { scratch } from './scratch.ts';

/** What `start --json` and the API's reply to a creation say of a database. */
export interface DatabaseUrls {
  readonly id: string;
  readonly name: string;
  readonly prismaUrl: string;
  readonly postgresUrl: string;
  readonly pulseUrl: string;
  readonly apiKey?: string;
}

interface Announcement {
  readonly http: string;
  readonly postgres: string;
  readonly dashboard: string;
  readonly adminToken: string;
  readonly databases: readonly DatabaseUrls[];
}

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A platform in a process of its own, with its data in a directory that vanishes with it. */
export interface Platform {
  readonly http: string;
  readonly postgres: string;
  readonly adminToken: string;
  /** The databases announced at the last start. */
  readonly databases: readonly DatabaseUrls[];
  readonly data: string;
  readonly child: ChildProcess;
  /** Everything it wrote on stderr, for a failing test to show. */
  readonly log: () => string;
  /** Runs the CLI against it. */
  cli(...args: string[]): Promise<CliResult>;
  /** Runs the CLI, expects success, and parses what `--json` printed. */
  json<T>(...args: string[]): Promise<T>;
  createDatabase(name: string): Promise<DatabaseUrls>;
  /** SIGTERM; gives the exit code. The data stays for `start`. */
  terminate(): Promise<number | null>;
  /** Sends SIGKILL to the platform only: its database servers keep running without a parent. */
  kill9(): Promise<void>;
  /** Starts again after `terminate` or `kill9`, on the same ports and data. */
  start(): Promise<void>;
  /** `terminate`, then `start`. */
  restart(): Promise<void>;
  /** Ends it, every process it started, and its data. For `afterAll`; never throws for a platform already gone. */
  stop(): Promise<void>;
}

const LAUNCHER = fileURLToPath(new URL('../../bin/dormouse.js', import.meta.url));
const START_MS = 120_000;
const STOP_MS = 90_000;
const LOG_CHARACTERS_MAX = 200_000;

function exited(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => child.once('exit', (code) => resolve(code)));
}

function announcementOf(line: string): Announcement | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const value = JSON.parse(line) as Partial<Announcement>;
    return typeof value.http === 'string' && typeof value.adminToken === 'string' ? (value as Announcement) : undefined;
  } catch {
    return undefined;
  }
}

/** Starts a platform and waits for its announcement. `flags` follow `start`; `env` adds to the environment. */
export async function startPlatform(
  options: {
    readonly flags?: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
    /** A command that becomes the one that follows it: it starts the platform elsewhere, or as somebody else. */
    readonly through?: readonly string[];
  } = {},
): Promise<Platform> {
  const home = scratch('platform');
  const data = join(home.path, 'data');
  let child: ChildProcess;
  let announced: Announcement;
  let log = '';

  async function launch(ports: readonly string[]): Promise<void> {
    // Spares are work in the background that most tests have no use for.
    const flags = ['--data', data, '--spares', '0', ...ports, ...(options.flags ?? [])];
    const command = [...(options.through ?? []), process.execPath, LAUNCHER, 'start', '--json', ...flags];
    child = spawn(command[0] as string, command.slice(1), {
      cwd: home.path,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
    });
    const process_ = child;
    process_.stderr?.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-LOG_CHARACTERS_MAX);
    });
    announced = await new Promise<Announcement>((resolve, reject) => {
      const fail = (why: string): void => reject(new Error(`the platform ${why}\n${log}`));
      const timer = setTimeout(() => fail(`did not announce itself within ${START_MS} ms`), START_MS);
      const lines = createInterface({ input: process_.stdout as NodeJS.ReadableStream });
      lines.on('line', (line) => {
        const announcement = announcementOf(line);
        if (announcement === undefined) return;
        clearTimeout(timer);
        resolve(announcement);
      });
      process_.once('exit', (code, signal) => {
        clearTimeout(timer);
        fail(`ended with ${code ?? signal} before it was ready`);
      });
    });
  }

  async function terminate(): Promise<number | null> {
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    const code = await exited(child);
    clearTimeout(late);
    return code;
  }

  /** The ports of the first start, so that URLs given out stay good. */
  function samePorts(): string[] {
    return ['--port', new URL(announced.http).port, '--pg-port', new URL(announced.postgres).port];
  }

  function cli(...args: string[]): Promise<CliResult> {
    return new Promise((resolve) => {
      execFile(
        process.execPath,
        [LAUNCHER, ...args],
        {
          cwd: home.path,
          timeout: START_MS,
          env: { ...process.env, DORMOUSE_URL: announced.http, DORMOUSE_TOKEN: announced.adminToken },
        },
        (error, stdout, stderr) => {
          resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stdout, stderr });
        },
      );
    });
  }

  async function json<T>(...args: string[]): Promise<T> {
    const result = await cli(...args, '--json');
    if (result.code !== 0)
      throw new Error(`dormouse ${args.join(' ')}: exit ${result.code}\n${result.stderr}${result.stdout}`);
    return JSON.parse(result.stdout) as T;
  }

  /** Over HTTP, as the CLI does: a CLI process per call would take longer than the creation of the database. */
  async function createDatabase(name: string): Promise<DatabaseUrls> {
    const reply = await fetch(`${announced.http}/api/databases`, {
      method: 'POST',
      headers: { authorization: `Bearer ${announced.adminToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name }),
      signal: AbortSignal.timeout(START_MS),
    });
    const text = await reply.text();
    if (reply.status !== 201) throw new Error(`creating the database ${name}: ${reply.status} ${text}`);
    return JSON.parse(text) as DatabaseUrls;
  }

  try {
    if (!options.flags?.includes('--data')) await prepareDataDirectory(data);
    await launch(['--port', '0', '--pg-port', '0']);
  } catch (error) {
    home.remove();
    throw error;
  }

  return {
    get http() {
      return announced.http;
    },
    get postgres() {
      return announced.postgres;
    },
    get adminToken() {
      return announced.adminToken;
    },
    get databases() {
      return announced.databases;
    },
    get child() {
      return child;
    },
    data,
    log: () => log,
    cli,
    json,
    createDatabase,
    terminate,
    async kill9() {
      child.kill('SIGKILL');
      await exited(child);
    },
    start: () => launch(samePorts()),
    async restart() {
      await terminate();
      await launch(samePorts());
    },
    async stop() {
      try {
        await terminate();
      } finally {
        home.remove();
      }
    },
  };
}
