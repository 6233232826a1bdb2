import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { scratch } from '../../../test/support/scratch.ts';
import { readyClone } from './files.ts';

it('a prepared clone copies nothing before it is told to, and nothing at all once it is cancelled', async () => {
  const home = scratch('clone');
  try {
    const [from, to] = ['from', 'to'].map((name) => join(home.path, name)) as [string, string];
    for (const path of [from, to]) mkdirSync(path);
    writeFileSync(join(from, 'file'), 'content');
    const account = { name: 'me', uid: 0, gid: 0, dropped: false };
    const clone = await readyClone(`${from}/.`, to, account);
    expect(readdirSync(to)).toEqual([]);
    clone.cancel();
    await expect(clone.go()).rejects.toMatchObject({ code: 1 });
    expect(readdirSync(to)).toEqual([]);
  } finally {
    home.remove();
  }
});
