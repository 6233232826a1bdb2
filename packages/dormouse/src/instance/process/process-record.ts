import { rename, rm, writeFile } from 'node:fs/promises';
import type { ProcessIdentity } from '../machine/index.ts';
import { readIfPresent } from '../machine/index.ts';

/** The process that was started last for a database. Written before a client can connect to the server. */
export interface ProcessRecord extends ProcessIdentity {
  readonly bootId: string;
}

/**
 * Written whole or not at all, for the next platform after this one was killed. Not synced: a power cut ends the
 * process too, and the boot id then voids the record; a sync would only delay the sync calls of the server that starts
 * meanwhile.
 */
export async function writeRecord(path: string, record: ProcessRecord): Promise<void> {
  const temporary = `${path}.new`;
  await writeFile(temporary, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  await rename(temporary, path);
}

/** Undefined if there is no record, or none that can be read: then the lifeline and /proc must answer. */
export async function readRecord(path: string): Promise<ProcessRecord | undefined> {
  const text = await readIfPresent(path);
  if (text === undefined) return undefined;
  try {
    const { pid, startTime, bootId } = JSON.parse(text) as Record<string, unknown>;
    if (typeof pid !== 'number' || typeof startTime !== 'string' || typeof bootId !== 'string') return undefined;
    return { pid, startTime, bootId };
  } catch {
    return undefined;
  }
}

/** Not durable: a record whose process is gone is recognised as such. */
export async function removeRecord(path: string): Promise<void> {
  await rm(path, { force: true });
}
