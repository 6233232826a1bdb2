import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { until } from './until.ts';

export const LAUNCHER: string = fileURLToPath(new URL('../../bin/dormouse.js', import.meta.url));

/** One run of the command line as a person or a supervisor would start it. */
export interface SpawnedCli {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly err: () => string;
  /** Resolves when stdout holds `text`; throws when the process ends before. */
  said(text: string): Promise<void>;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** For clean-up: kills it if it still runs, and waits. */
  end(): Promise<void>;
}

/** Starts `dormouse WORDS` in `cwd`, without the DORMOUSE_ variables of the environment. */
export function spawnCli(words: readonly string[], cwd: string, environment: Record<string, string> = {}): SpawnedCli {
  const { DORMOUSE_URL: _url, DORMOUSE_TOKEN: _token, ...clean } = process.env;
  const child = spawn(process.execPath, [LAUNCHER, ...words], {
    cwd,
    env: { ...clean, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  let over = false;
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('close', (code, signal) => {
      over = true;
      resolve({ code, signal });
    });
  });
  return {
    child,
    out: () => out,
    err: () => err,
    ended,
    async said(text) {
      await until(
        () => {
          if (out.includes(text)) return true;
          if (over) throw new Error(`it ended without saying "${text}"\n${out}\n${err}`);
          return undefined;
        },
        { what: `"${text}" on stdout`, withinMs: 120_000 },
      );
    },
    async end() {
      if (!over) child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), 90_000);
      await ended;
      clearTimeout(late);
    },
  };
}
