import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Scratch, scratch } from '../../../test/support/scratch.ts';
import { type Account, checkReachable, resolveAccount } from './account.ts';

describe('the path to a directory', () => {
  let home: Scratch;
  beforeEach(() => {
    home = scratch('account');
  });
  afterEach(() => home.remove());
  const stranger: Account = { name: 'stranger', uid: 54_321, gid: 54_321, dropped: true };

  it('the path to a directory is open to an account where every directory may be entered by others, listable or not', async () => {
    const deep = join(home.path, 'a', 'b');
    mkdirSync(deep, { recursive: true });
    chmodSync(join(home.path, 'a'), 0o711);
    await expect(checkReachable(stranger, deep)).resolves.toBeUndefined();
  });

  it('the path to a directory is closed to an account where one directory may not be entered, and the error names that directory', async () => {
    const closed = join(home.path, 'a');
    const deep = join(closed, 'b', 'c');
    mkdirSync(deep, { recursive: true });
    chmodSync(closed, 0o744);
    await expect(checkReachable(stranger, deep)).rejects.toMatchObject({
      code: 'account_unusable',
      meta: { account: 'stranger', path: closed },
    });
  });

  it('the path to a directory may be open to one account and closed to another', async () => {
    const own = join(home.path, 'own');
    mkdirSync(own);
    chmodSync(own, 0o700);
    const uid = process.getuid?.() as number;
    await checkReachable({ name: 'me', uid, gid: 1, dropped: false }, own);
    await expect(checkReachable(stranger, own)).rejects.toMatchObject({ code: 'account_unusable' });
  });
});

it('the account that runs Postgres is never root', async () => {
  expect((await resolveAccount()).uid).not.toBe(0);
});
