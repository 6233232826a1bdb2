import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { ThreadCalls } from './thread-calls.ts';

/** The calls of test/support/calculating-thread.mjs. */
type Calls = {
  add(one: number, two: bigint): bigint;
  refuse(code: 'quota_exceeded', message: string): never;
  fail(): never;
  hang(): never;
  exit(): never;
};

const thread = (): ThreadCalls<Calls> => {
  open = new ThreadCalls({
    name: 'calculating',
    file: fileURLToPath(new URL('../../test/support/calculating-thread.mjs', import.meta.url)),
  });
  return open;
};
let open: ThreadCalls<Calls> | undefined;
afterEach(() => open?.close());

it('each call gets its own result, in the order in which the calls were made', async () => {
  const calls = thread();
  const done: bigint[] = [];
  const note = (sum: bigint): unknown => done.push(sum);
  await Promise.all([calls.call('add', 1, 2n).then(note), calls.call('add', 2, 3n).then(note)]);
  expect(done).toEqual([3n, 5n]);
});

it("an error of the thread reaches the caller with the error's code and message", async () => {
  const calls = thread();
  await expect(calls.call('refuse', 'quota_exceeded', 'There are two already.')).rejects.toMatchObject({
    ...{ code: 'quota_exceeded', message: 'There are two already.' },
  });
  await expect(calls.call('fail')).rejects.toMatchObject({ code: 'disk_full', cause: 'Error: no room' });
});

it('when the thread ends by itself, its calls fail with internal, and the next call starts another thread', async () => {
  const calls = thread();
  const lost = [calls.call('exit'), calls.call('add', 1, 1n)];
  for (const each of lost) await expect(each).rejects.toMatchObject({ code: 'internal' });
  expect(await calls.call('add', 1, 1n)).toBe(2n);
});

it('once closed, calls without a reply and later calls fail with shutting_down', async () => {
  const calls = thread();
  const hanging = calls.call('hang').catch((error: unknown) => error);
  await calls.close();
  expect(await hanging).toMatchObject({ code: 'shutting_down' });
  await expect(calls.call('add', 1, 1n)).rejects.toMatchObject({ code: 'shutting_down' });
});
