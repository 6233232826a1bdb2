import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { createCapturedClient, useCapturedMachine } from '../support/captured-client.ts';
import type { CapturedDatabase } from '../support/captured-database.ts';
import { CLIENT_VERSIONS, generateClient, type Loose, loadClient, requireOf } from '../support/clients.ts';
import { clientOptions } from '../support/target.ts';
import { until } from '../support/until.ts';

const CLIENT_PACKAGE = fileURLToPath(new URL('../../../client/', import.meta.url));

const captured = useCapturedMachine({ limits: { recheckMs: 50, eventsMax: 3000 } });
let dormouse: Loose;
beforeAll(async () => {
  dormouse = await import(join(CLIENT_PACKAGE, 'dist/index.js'));
});

async function take(stream: Loose, count: number): Promise<Loose[]> {
  const events: Loose[] = [];
  for await (const event of stream) {
    events.push(event);
    if (events.length === count) break;
  }
  return events;
}

describe.each(CLIENT_VERSIONS)('stream() beside Prisma %i', (version) => {
  let database: CapturedDatabase;
  let prisma: Loose;
  let Prisma: Loose;

  beforeAll(async () => {
    const created = await createCapturedClient(captured, version);
    ({ database, Prisma } = created);
    // No option is given: the extension finds URL and key in the client.
    prisma = created.client.$extends(dormouse.withDormouse());
  });

  const insertUser = (email: string): string => `INSERT INTO users (email, updated_at) VALUES ('${email}', now())`;

  test('creations, updates and deletions arrive with the values that Prisma would read', async () => {
    const stream = await prisma.sample.stream();
    await database.sql(
      `INSERT INTO samples (id, small, int, big, float, decimal, bool, text, bytes, json, timestamp, timestamptz, date, time, role,
         required, ints, bigs, decimals, texts, jsons, timestamps, dates, roles)
       VALUES ('00000000-0000-4000-8000-000000000001', 1, 2, 9007199254740993, 'NaN', 1.50, true, 'täxt', '\\x00ff', '{"a": [1, null]}',
         '2026-01-02 03:04:05.678', '2026-01-02 03:04:05+00', '2026-01-02', '03:04:05', 'administrator', 'r',
         '{1,2}', '{9007199254740993}', '{1.10}', '{"a,b"}', ARRAY['{"x": 1}'::jsonb], '{"2026-01-02 03:04:05"}', '{2026-01-02}',
         '{administrator,MEMBER}')`,
      "UPDATE samples SET text = 'changed'",
      'ALTER TABLE samples REPLICA IDENTITY FULL',
      "UPDATE samples SET text = 'again'",
      'DELETE FROM samples',
    );
    const [created, updated, full, deleted] = await take(stream, 4);
    const { created: row } = created;
    expect(created).toMatchObject({ action: 'create', modelName: 'Sample', id: expect.any(String) });
    expect(row).toMatchObject({
      id: '00000000-0000-4000-8000-000000000001',
      small: 1,
      int: 2,
      big: 9007199254740993n,
      float: Number.NaN,
      bool: true,
      text: 'täxt',
      json: { a: [1, null] },
      timestamp: new Date('2026-01-02T03:04:05.678Z'),
      timestamptz: new Date('2026-01-02T03:04:05Z'),
      date: new Date('2026-01-02T00:00:00Z'),
      time: new Date('1970-01-01T03:04:05Z'),
      uuid: null,
      required: 'r',
      ints: [1, 2],
      bigs: [9007199254740993n],
      texts: ['a,b'],
      jsons: [{ x: 1 }],
      timestamps: [new Date('2026-01-02T03:04:05Z')],
      dates: [new Date('2026-01-02T00:00:00Z')],
    });
    expect([...row.bytes]).toEqual([0, 255]);
    expect(Prisma.Decimal.isDecimal(row.decimal)).toBe(true);
    expect(String(row.decimal)).toBe('1.5');
    expect(String(row.decimals[0])).toBe('1.1');
    // The names of mapped enum values are known to a Prisma 6 client only.
    expect(row.role).toBe(version === 6 ? 'ADMIN' : 'administrator');
    expect(row.roles).toEqual([version === 6 ? 'ADMIN' : 'administrator', 'MEMBER']);
    expect(updated).toMatchObject({
      action: 'update',
      before: null,
      after: { text: 'changed', big: 9007199254740993n },
    });
    expect(full).toMatchObject({ action: 'update', before: { text: 'changed' }, after: { text: 'again' } });
    expect(deleted).toMatchObject({ action: 'delete', deleted: { text: 'again' } });
  });

  test('a named stream resumes after the last event whose loop body has run, in a new process as well', async () => {
    const args = { name: 'mailer', create: { email: { endsWith: '@example.com' } } };
    const first = await prisma.user.stream(args);
    await database.sql(...['1@example.com', '2@other', '3@example.com', '4@example.com'].map(insertUser));
    expect((await take(first, 2)).map((event) => event.created.email)).toEqual(['1@example.com', '3@example.com']);
    const again = (await loadClient(version)).PrismaClient;
    const url = `prisma+postgres://127.0.0.1:${captured.doors.port}/?api_key=${database.record.id}`;
    const other = new again(clientOptions(version, url)).$extends(dormouse.withDormouse({ url }));
    const second = await take(other.user.stream(args), 2);
    // The loop was left inside the body of the third event, so that event is delivered again.
    expect(second.map((event: Loose) => event.created.email)).toEqual(['3@example.com', '4@example.com']);
  });

  test.each([undefined, 'steady'])('a stream reconnects by itself and repeats no event (name %s)', async (name) => {
    const stream = await prisma.user.stream({ create: {}, ...(name === undefined ? {} : { name }) });
    const emails: string[] = [];
    const reading = (async () => {
      for await (const event of stream) {
        emails.push(event.created.email);
        if (emails.length === 3) break;
      }
    })();
    await database.sql(insertUser(`a-${name}`), insertUser(`b-${name}`));
    await until(() => emails.length === 2, { what: 'two events' });
    // This is a broken connection and not a refusal: the key is valid again before the stream is back.
    captured.doors.cut();
    await until(() => database.events.subscribers.open === 0, { what: 'the connection gone' });
    await database.sql(insertUser(`c-${name}`));
    await reading;
    expect(emails).toEqual([`a-${name}`, `b-${name}`, `c-${name}`]);
  });

  test('break, stop and signal end a stream, and errors say what is wrong', async () => {
    const controller = new AbortController();
    const aborted = (async () => {
      for await (const _ of prisma.user.stream({ signal: controller.signal })) throw new Error('nothing was written');
    })();
    const stopped = prisma.user.stream();
    const looping = (async () => {
      for await (const _ of stopped) throw new Error('nothing was written');
    })();
    await until(() => database.events.subscribers.open === 2, { what: 'both streams' });
    controller.abort();
    stopped.stop();
    await Promise.all([aborted, looping]);
    await until(() => database.events.subscribers.open === 0, { what: 'their places back' });

    const url = `http://127.0.0.1:${captured.doors.port}`;
    const wrong = prisma.$parent.$extends(dormouse.withDormouse({ url, apiKey: 'nobody' }));
    await expect(wrong.user.stream()).rejects.toMatchObject({ reason: 'key_invalid', status: 401 });
    await expect(take(wrong.user.stream(), 1)).rejects.toMatchObject({ reason: 'key_invalid' });
    await expect(prisma.user.stream({ create: { nope: 1 } })).rejects.toThrow(/no field nope/);
    await expect(prisma.user.stream({ create: { email: { near: 'x' } } })).rejects.toThrow(/near/);
  });

  test('a reader that was away for too long is told of the gap, and goes on behind it', async () => {
    const stream = await prisma.account.stream({ name: 'late' });
    stream.stop();
    await database.sql("INSERT INTO accounts (id, owner) SELECT i, 'o' FROM generate_series(1, 6000) i");
    await database.capture.drain();
    await expect(take(prisma.account.stream({ name: 'late' }), 1)).rejects.toMatchObject({ name: 'DormouseGapError' });
    const [event] = await take(prisma.account.stream({ name: 'late' }), 1);
    expect(event.created.owner).toBe('o');
  });

  test('the types of stream() follow the schema', async () => {
    const generated = await generateClient(version);
    const home = join(captured.machine.home.path, `types${version}`);
    mkdirSync(join(home, 'node_modules/@dormouse'), { recursive: true });
    mkdirSync(join(home, 'node_modules/@prisma'), { recursive: true });
    const clientEntry = requireOf(version).resolve('@prisma/client/package.json');
    symlinkSync(dirname(clientEntry), join(home, 'node_modules/@prisma/client'));
    symlinkSync(CLIENT_PACKAGE, join(home, 'node_modules/@dormouse/client'));
    symlinkSync(join(generated, 'client'), join(home, 'generated'));
    writeFileSync(
      join(home, 'app.ts'),
      `import { withDormouse } from '@dormouse/client';
       import { PrismaClient, type Prisma, type User } from './generated/index.js';
       export async function run(base: PrismaClient): Promise<void> {
         const prisma = base.$extends(withDormouse());
         await prisma.user.findMany({ where: { id: 1 } });
         for await (const event of prisma.user.stream({ name: 'n', create: { email: { contains: 'x' } }, update: { after: { id: 1 } } })) {
           if (event.action === 'create') { const user: User = event.created; user.email.length; }
           else { const user: User = event.after; const before: User | null = event.before; void [user, before]; }
           // @ts-expect-error deletions were not asked for
           event.action === 'delete';
         }
         for await (const event of await prisma.invoice.stream()) {
           if (event.action === 'delete') { const number: bigint | undefined = event.deleted.number; void number; }
           if (event.action === 'create') { const amount: Prisma.Decimal = event.created.amount; void amount; }
         }
         // @ts-expect-error no such field
         prisma.user.stream({ create: { nope: 1 } });
         // @ts-expect-error relations are not in the event
         prisma.user.stream({ create: { posts: { some: {} } } });
         // @ts-expect-error a number is no name
         prisma.user.stream({ name: 1 });
       }`,
    );
    writeFileSync(
      join(home, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          noEmit: true,
          module: 'nodenext',
          target: 'es2023',
          lib: ['es2024', 'dom'],
          skipLibCheck: true,
          preserveSymlinks: true,
          types: [],
        },
        files: ['app.ts'],
      }),
    );
    writeFileSync(join(home, 'package.json'), '{"type":"module"}');
    const tsc = fileURLToPath(new URL('../../../../node_modules/.bin/tsc', import.meta.url));
    const { status, stdout } = spawnSync(tsc, ['-p', home], { cwd: home, encoding: 'utf8' });
    expect([status, stdout]).toEqual([0, '']);
  });
});

test('cache invalidation is sent to the platform’s own host', async () => {
  const seen: string[] = [];
  const send = (async (input: Parameters<typeof fetch>[0]) => {
    seen.push(String(input instanceof Request ? input.url : input));
    return new Response('{}');
  }) as typeof fetch;
  const url = 'prisma+postgres://db.example.org/?api_key=k';
  const own = dormouse.dormouseFetch({ url, fetch: send });
  await own('https://accelerate.prisma-data.net/invalidate', { method: 'POST' });
  await own('https://db.example.org/6.19.3/abc/graphql', { method: 'POST' });
  await own('https://db.example.org/invalidate', { method: 'POST' });
  expect(seen).toEqual([
    'https://db.example.org/invalidate',
    'https://db.example.org/6.19.3/abc/graphql',
    'https://db.example.org/invalidate',
  ]);
  const lost = dormouse.dormouseFetch({ url: 'postgres://db.example.org/x', fetch: send });
  await expect(lost('https://accelerate.prisma-data.net/invalidate', {})).rejects.toMatchObject({ reason: 'usage' });
  expect(seen).toHaveLength(3);
});
