import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { reap } from './reaper.mjs';

/** A directory that vanishes with every process in it. */
export interface Scratch {
  readonly path: string;
  /** Kills what still runs in it and removes it. Idempotent. */
  remove(): void;
}

let watcher: ChildProcess | undefined;

/** One watcher per test process; it outlives a killed test process just long enough to clean up. */
function tell(line: string): void {
  if (watcher === undefined) {
    const file = fileURLToPath(new URL('./reaper.mjs', import.meta.url));
    watcher = spawn(process.execPath, [file, 'watch'], { stdio: ['pipe', 'ignore', 'inherit'], detached: true });
    watcher.unref();
    watcher.stdin?.on('error', () => {});
    (watcher.stdin as unknown as { unref(): void }).unref();
  }
  watcher.stdin?.write(`${line}\n`);
}

/** A new directory that an unprivileged account may enter. */
export function scratch(name: string): Scratch {
  const path = realpathSync(mkdtempSync(join(tmpdir(), `dormouse-${name}-`)));
  chmodSync(path, 0o755);
  tell(`+${path}`);
  let removed = false;
  return {
    path,
    remove() {
      if (removed) return;
      removed = true;
      reap(path);
      tell(`-${path}`);
    },
  };
}
