import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type TarEntry, TarError, TarReader } from './tar-reader.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-tar-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** What a reader makes of an archive that comes in pieces of these sizes. */
function read(
  archive: Buffer,
  sizes: readonly number[],
): { entries: (TarEntry & { content: string })[]; ended: boolean } {
  const entries: (TarEntry & { content: string })[] = [];
  let content: Buffer[] = [];
  let current: TarEntry | undefined;
  const reader = new TarReader({
    onEntry: (entry) => {
      current = entry;
      content = [];
    },
    onContent: (piece) => content.push(Buffer.from(piece)),
    onEntryEnd: () => entries.push({ ...(current as TarEntry), content: Buffer.concat(content).toString() }),
  });
  let at = 0;
  for (let turn = 0; at < archive.length; turn++) {
    const size = sizes[turn % sizes.length] as number;
    reader.push(archive.subarray(at, at + size));
    at += size;
  }
  return { entries, ended: reader.ended };
}

describe('the tar reader', () => {
  it('the tar reader reads an archive that tar wrote, whatever pieces the archive comes in', () => {
    mkdirSync(join(directory, 'base'));
    writeFileSync(join(directory, 'base', 'empty'), '', { mode: 0o600 });
    writeFileSync(join(directory, 'base', 'block'), 'b'.repeat(512), { mode: 0o600 });
    writeFileSync(join(directory, 'base', 'more'), 'm'.repeat(1300), { mode: 0o640 });
    symlinkSync('block', join(directory, 'base', 'link'));
    const archive = execFileSync('tar', ['-C', directory, '--format=ustar', '-cf', '-', 'base'], { maxBuffer: 1e7 });
    const whole = read(archive, [archive.length]);
    expect(whole.ended).toBe(true);
    const shown = whole.entries.map(({ name, kind, size, linkName, content }) => [
      name,
      kind,
      size,
      linkName,
      content.length,
    ]);
    expect(shown.sort()).toEqual([
      ['base/', 'directory', 0, '', 0],
      ['base/block', 'file', 512, '', 512],
      ['base/empty', 'file', 0, '', 0],
      ['base/link', 'symlink', 0, 'block', 0],
      ['base/more', 'file', 1300, '', 1300],
    ]);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 20 }), (sizes) => {
        expect(read(archive, sizes)).toEqual(whole);
      }),
    );
    expect(read(archive.subarray(0, archive.length - 9000), [512]).ended).toBe(false);
  });

  it('the tar reader refuses bytes that are not an archive', () => {
    expect(() => read(Buffer.alloc(512, 7), [512])).toThrow(TarError);
  });
});
