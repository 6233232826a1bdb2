import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * Names the directory, made anew for each test run, that keeps what many files start from. The benchmarks set none:
 * each of their servers is made from nothing.
 */
export const PREPARED_VARIABLE = 'DORMOUSE_TEST_PREPARED';

/** Whether this is a test run, which prepares what its files start from. */
export const isPreparing = (): boolean => process.env[PREPARED_VARIABLE] !== undefined;

/**
 * Gives `target`, a path where nothing is, the content that `make` gives a directory: the first caller of a test run
 * lets `make` work, all later callers of the same `name` get a copy. Owners and modes are kept. The files in the
 * folders of `linked` are hard links, for content that nobody writes to.
 */
export async function copyPrepared(
  name: string,
  target: string,
  make: (directory: string) => Promise<void>,
  { linked = [] }: { readonly linked?: readonly string[] } = {},
): Promise<void> {
  const kept = process.env[PREPARED_VARIABLE];
  if (kept === undefined) return await make(target);
  const ready = join(kept, name);
  if (!existsSync(ready)) await prepare(ready, make);
  if (linked.length === 0) return copy(ready, target);
  mkdirSync(target);
  chmodSync(target, statSync(ready).mode);
  for (const entry of readdirSync(ready)) {
    const [from, to] = [join(ready, entry), join(target, entry)];
    if (linked.includes(entry)) link(from, to);
    else copy(from, to);
  }
}

function copy(from: string, to: string): void {
  execFileSync('cp', ['-a', from, to], { stdio: 'pipe' });
}

/** Copies by hard links; onto another disk, which has none to this one, as bytes. */
function link(from: string, to: string): void {
  const sameDisk = statSync(from).dev === statSync(dirname(to)).dev;
  execFileSync('cp', [sameDisk ? '-al' : '-a', from, to], { stdio: 'pipe' });
}

async function prepare(ready: string, make: (directory: string) => Promise<void>): Promise<void> {
  const draft = join(mkdtempSync(`${ready}-`), 'draft');
  // Postgres's own account passes through.
  chmodSync(dirname(draft), 0o755);
  await make(draft);
  try {
    renameSync(draft, ready);
  } catch (error) {
    // Another test process was first.
    if (!existsSync(ready)) throw error;
  }
  rmSync(dirname(draft), { recursive: true, force: true });
}
