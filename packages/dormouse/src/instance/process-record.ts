import { rm } from 'node:fs/promises';
import { readIfPresent, writeDurably } from './files.ts';
import type { ProcessIdentity } from './process-table.ts';

/** Which process was started last for a database. Durable before anyone connects to it. */
export interface ProcessRecord extends ProcessIdentity {
  readonly bootId: string;
}

export async function writeRecord(path: string, record: ProcessRecord): Promise<void> {
  await writeDurably(path, `${JSON.stringify(record)}\n`);
}

/** Undefined if there is none, or none that can be read: then the lifeline and /proc must tell. */
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

/** Not durable: a record of a process that is gone is recognised as such. */
export async function removeRecord(path: string): Promise<void> {
  await rm(path, { force: true });
}
