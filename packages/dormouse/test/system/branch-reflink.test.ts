import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Owner, queryOnce, startOwner, testId } from '../support/instance-owner.ts';
import { numberFrom } from '../support/seeded.ts';
import { NoMount, reflinkDisk, type SmallDisk } from '../support/small-disk.ts';
import { checkTransfers, identities, startTransfers, TRANSFERS_SQL } from '../support/transfers.ts';
import { until } from '../support/until.ts';

// On a file system where files can share blocks, a running database is frozen while its files are cloned.

/** `DORMOUSE_ROUNDS=25` makes a long run. */
const ROUNDS = numberFrom('DORMOUSE_ROUNDS', 3);
/**
 * The disk space that a clone may take by itself: its directories and the files that are written anew, beside some 30
 * MB of shared files.
 */
const CLONE_BYTES_MAX = 16_000_000;

function freeBytes(path: string): number {
  const { bfree, bsize } = statfsSync(path);
  return bfree * bsize;
}

it.for(['xfs', 'btrfs'] as const)(
  'on %s, a branch is a clone of the frozen database, taken while clients write',
  async (kind, { skip }) => {
    let disk: SmallDisk;
    try {
      disk = reflinkDisk(kind, 900);
    } catch (error) {
      if (!(error instanceof NoMount)) throw error;
      console.log(`skipped: ${kind} cannot be made or mounted here (${error.message})`);
      return skip();
    }
    let owner: Owner | undefined;
    try {
      owner = await startOwner({ dataDirectory: join(disk.path, 'data'), rest: { suspendAfterMs: 1e9 } });
      await owner.prepare();
      const source = testId(0);
      await owner.create(source);
      const { socket } = await owner.hold(source);
      await queryOnce(socket, TRANSFERS_SQL);
      const writers = [0, 1].map((writer) => startTransfers(socket, writer));
      const seen = new Set<bigint>();
      try {
        for (let round = 1; round <= ROUNDS; round++) {
          const before = writers.map((writer) => writer.acknowledged());
          const id = testId(round);
          const freeBefore = freeBytes(disk.path);
          const branch = await owner.branch(source, id);
          if (kind === 'xfs') expect(freeBefore - freeBytes(disk.path)).toBeLessThan(CLONE_BYTES_MAX);
          expect(branch.way).toBe('clone');
          expect(branch.pausedMs).toBeGreaterThan(0);
          const { socket: clone } = await owner.hold(id);
          await checkTransfers(clone, before);
          expect(await queryOnce(clone, 'SELECT * FROM scratchpad')).toEqual([]);
          for (const identity of await identities(branch.directory, clone)) seen.add(identity);
          await owner.destroy(id);
          // The source goes on.
          await until(() => writers.every((writer, at) => writer.acknowledged() > (before[at] ?? 0)), {
            what: 'more writes',
          });
        }
        expect(seen.size).toBe(ROUNDS);
      } finally {
        await Promise.all(writers.map((writer) => writer.end()));
      }
      await checkTransfers(
        socket,
        writers.map((writer) => writer.acknowledged()),
      );
      await owner.release(source);
      await owner.stop(source);
      expect((await owner.branch(source, testId(99))).way).toBe('files');
    } finally {
      await owner?.close().catch(() => {});
      disk.remove();
    }
  },
);
