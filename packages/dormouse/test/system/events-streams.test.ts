import { get, type IncomingMessage } from 'node:http';
import { expect, test } from 'vitest';
import { useCapturedMachine } from '../support/captured-client.ts';
import type { CapturedDatabase } from '../support/captured-database.ts';
import { eventSplitter } from '../support/server-sent-events.ts';
import { countsThreadTime, inOneGo, longestTurn } from '../support/turns.ts';
import { until } from '../support/until.ts';

const captured = useCapturedMachine({ limits: { longPollMs: 300, recheckMs: 50, subscribersMax: 3, eventsMax: 2000 } });

async function call(
  database: CapturedDatabase,
  path: string,
  init: RequestInit = {},
): Promise<{ status: number; headers: Headers; body: unknown }> {
  const response = await fetch(`${captured.doors.http}/streams/${path}`, {
    ...init,
    headers: { authorization: `Bearer ${database.record.id}`, ...init.headers },
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
}

interface SseReader {
  readonly messages: { type?: string; key?: string; value?: unknown; headers: Record<string, unknown> }[];
  readonly controls: { streamNextOffset: string; streamCursor: string; upToDate?: boolean }[];
  readonly ended: () => boolean;
  readonly response: IncomingMessage;
  close(): void;
}

function sse(database: CapturedDatabase, path: string): Promise<SseReader> {
  return new Promise((resolve, reject) => {
    const request = get(
      `${captured.doors.http}/streams/${path}`,
      { headers: { authorization: `Bearer ${database.record.id}` }, agent: false },
      (response) => {
        if (response.statusCode !== 200) {
          reject(new Error(`status ${response.statusCode}`));
          return;
        }
        const messages: SseReader['messages'] = [];
        const controls: SseReader['controls'] = [];
        let ended = false;
        const split = eventSplitter();
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          for (const { event, data } of split(chunk)) {
            if (event === 'data') messages.push(...JSON.parse(data));
            if (event === 'control') controls.push(JSON.parse(data));
          }
        });
        response.on('close', () => {
          ended = true;
        });
        resolve({ messages, controls, ended: () => ended, response, close: () => request.destroy() });
      },
    );
    request.on('error', reject);
  });
}

test('a reader catches up, then waits by long-poll, and resumes from each offset without a gap', async () => {
  const database = await captured.machine.create();
  await database.sql(
    `CREATE TABLE all_types (id int PRIMARY KEY, big bigint, num numeric, at timestamptz, ts timestamp, raw bytea,
       js jsonb, list int[], texts text[], ok boolean, f float8, nothing text)`,
    `INSERT INTO all_types VALUES (1, 9007199254740993, 'NaN', '2026-01-02 03:04:05.123456+00', '2026-01-02 03:04:05', '\\x00ff',
       '{"n": 12345678901234567890}', '{1,NULL}', '{"a,b"}', true, 'Infinity', NULL)`,
    'CREATE TABLE other (id int PRIMARY KEY)',
    'INSERT INTO other VALUES (1)',
  );
  await database.capture.drain();
  const first = await call(database, 'tables/public/all_types?offset=-1');
  expect(first.status).toBe(200);
  expect(first.headers.get('stream-up-to-date')).toBe('true');
  expect(first.headers.get('cf-ray')).toMatch(/^[0-9a-f]{16}-local$/);
  expect(first.headers.get('server-timing')).toBeTruthy();
  expect(first.body).toEqual([
    {
      type: 'public.all_types',
      key: '1',
      value: {
        id: 1,
        big: '9007199254740993',
        num: 'NaN',
        at: '2026-01-02T03:04:05.123456Z',
        ts: '2026-01-02T03:04:05',
        raw: 'AP8=',
        js: { n: Number('12345678901234567890') },
        list: [1, null],
        texts: ['a,b'],
        ok: true,
        f: 'Infinity',
        nothing: null,
      },
      headers: {
        operation: 'insert',
        txid: expect.any(String),
        timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
        offset: expect.any(String),
      },
    },
  ]);
  const raw = await fetch(`${captured.doors.http}/streams/tables/public/all_types?offset=-1`, {
    headers: { authorization: `Bearer ${database.record.id}` },
  });
  expect(await raw.text()).toContain('12345678901234567890');

  const next = first.headers.get('stream-next-offset') as string;
  const again = await call(database, `tables/public/all_types?offset=${next}`);
  expect(again.body).toEqual([]);
  expect(again.headers.get('stream-next-offset')).toBe(next);
  const etag = first.headers.get('etag') as string;
  const unchanged = await call(database, 'tables/public/all_types?offset=-1', { headers: { 'if-none-match': etag } });
  expect(unchanged.status).toBe(304);

  const nothing = await call(database, `tables/public/all_types?offset=${next}&live=long-poll`);
  expect(nothing.status).toBe(204);
  expect(nothing.headers.get('stream-next-offset')).toBe(next);
  const cursor = nothing.headers.get('stream-cursor') as string;
  const later = call(database, `all?offset=${next}&live=long-poll&cursor=${cursor}`);
  await database.sql('UPDATE all_types SET ok = false', 'DELETE FROM all_types');
  const [update] = (await later).body as { headers: { offset: string } }[];
  expect(update).toMatchObject({ headers: { operation: 'update' }, value: { ok: false } });
  expect(Number((await later).headers.get('stream-cursor'))).toBeGreaterThan(Number(cursor));
  await database.capture.drain();
  const rest = await call(database, `all?offset=${update?.headers.offset}`);
  expect(rest.body).toMatchObject([{ key: '1', value: null, old_value: { id: 1 }, headers: { operation: 'delete' } }]);
  const offsets = [next, update?.headers.offset, rest.headers.get('stream-next-offset')];
  expect([...offsets].sort()).toEqual(offsets);
});

test('SSE sends the existing events, then new events, and an offset to resume from', async () => {
  const database = await captured.machine.create();
  await database.sql('CREATE TABLE t (id int PRIMARY KEY, name text)', "INSERT INTO t VALUES (1, 'a')");
  await database.capture.drain();
  const reader = await sse(database, 'tables/public/t?offset=-1&live=sse');
  await until(() => reader.messages.length === 1, { what: 'the first row' });
  await database.sql("INSERT INTO t VALUES (2, E'line\\nbreak')", 'TRUNCATE t');
  await until(() => reader.messages.length === 3, { what: 'what came later' });
  expect(reader.messages.map((message) => message.headers.operation ?? message.headers.reason)).toEqual([
    'insert',
    'insert',
    'truncate',
  ]);
  expect(reader.messages[1]?.value).toEqual({ id: 2, name: 'line\nbreak' });
  reader.close();
  const last = reader.controls.at(-1);
  expect(last?.upToDate).toBe(true);
  const onwards = await sse(database, `tables/public/t?offset=${last?.streamNextOffset}&live=sse`);
  await until(() => onwards.controls.length > 0, { what: 'the first control' });
  await database.sql('INSERT INTO t VALUES (3)');
  await until(() => onwards.messages.length === 1, { what: 'the third row' });
  expect(onwards.messages[0]?.key).toBe('3');
  onwards.close();
});

test('a named reader resumes after the last acknowledged event, also when the first reader acknowledged nothing', async () => {
  const database = await captured.machine.create();
  await database.sql('CREATE TABLE t (id int PRIMARY KEY)', 'INSERT INTO t VALUES (0)');
  await database.capture.drain();
  const first = await sse(database, 'tables/public/t?name=mail%2Fer&live=sse');
  await until(() => first.controls.length > 0, { what: 'the stream' });
  first.close();
  await database.sql('INSERT INTO t VALUES (1)', 'INSERT INTO t VALUES (2)');
  const second = await sse(database, 'tables/public/t?name=mail%2Fer&live=sse');
  await until(() => second.messages.length === 2, { what: 'both rows' });
  expect(second.messages.map((message) => message.key)).toEqual(['1', '2']);
  const offset = second.messages[0]?.headers.offset;
  const acked = await call(database, 'tables/public/t/cursors/mail%2Fer', {
    method: 'POST',
    body: JSON.stringify({ offset }),
  });
  expect(acked.status).toBe(204);
  second.close();
  expect((await call(database, 'tables/public/t/cursors/mail%2Fer')).body).toMatchObject({ offset });
  const third = await sse(database, 'tables/public/t?name=mail%2Fer&live=sse');
  await until(() => third.messages.length === 1, { what: 'the second row again' });
  expect(third.messages[0]?.key).toBe('2');
  third.close();
  expect((await call(database, 'tables/public/t/cursors/mail%2Fer', { method: 'DELETE' })).status).toBe(204);
  expect((await call(database, 'tables/public/t/cursors/mail%2Fer')).status).toBe(404);
});

test('a stream can be filtered by column', async () => {
  const database = await captured.machine.create();
  await database.sql(
    'CREATE TABLE t (id int PRIMARY KEY, big bigint)',
    'INSERT INTO t SELECT i, i * 10 FROM generate_series(1, 10) i',
    'DELETE FROM t WHERE id = 1',
  );
  await database.capture.drain();
  const filter = encodeURIComponent(JSON.stringify({ create: { big: { gt: { $type: 'BigInt', value: '80' } } } }));
  const { body } = await call(database, `tables/public/t?offset=-1&filter=${filter}`);
  expect((body as { key: string }[]).map((message) => message.key)).toEqual(['9', '10']);
});

test('an offset that is no longer kept is refused as gone, and a named reader that was away for too long is told of the gap', async () => {
  const database = await captured.machine.create();
  await database.sql('CREATE TABLE t (id int PRIMARY KEY)', 'INSERT INTO t VALUES (0)');
  await database.capture.drain();
  const { headers } = await call(database, 'tables/public/t?name=late&offset=-1');
  expect(headers.get('stream-next-offset')).toBeTruthy();
  const { body } = await call(database, 'all?offset=-1');
  const old = (body as { headers: { offset: string } }[])[0]?.headers.offset;
  await database.sql('INSERT INTO t SELECT generate_series(1, 5000)');
  await database.capture.drain();
  expect(await call(database, `all?offset=${old}`)).toMatchObject({
    status: 410,
    body: { meta: { reason: 'stream_gone' } },
  });
  await expect(sse(database, `all?offset=${old}&live=sse`)).rejects.toThrow('410');
  const late = await sse(database, 'tables/public/t?name=late&live=sse');
  await until(() => late.messages.some((message) => message.key === '5000'), { what: 'the last row' });
  expect(late.messages[0]?.headers).toMatchObject({ control: 'reset', reason: 'gap' });
  late.close();
});

test('a bad request is refused with one clear message', async () => {
  const database = await captured.machine.create();
  const cases: [string, RequestInit, number][] = [
    ['nowhere', {}, 404],
    ['tables/public', {}, 404],
    ['all?offset=x', {}, 400],
    ['all?offset=0001-0000000000000000-0000000000000000-00000000', {}, 410],
    ['all?live=sse', {}, 400],
    ['all?offset=-1&live=magic', {}, 400],
    ['all?offset=-1&filter=%7B', {}, 400],
    ['all?offset=-1&filter=%7B%22upsert%22%3A1%7D', {}, 400],
    ['all', { method: 'PUT' }, 405],
    ['all', { method: 'POST', body: '[]' }, 405],
    ['all', { method: 'DELETE' }, 405],
    ['all/cursors/x', { method: 'POST', body: 'x' }, 400],
    ['all/cursors/x', { method: 'POST', body: '{}' }, 400],
    ['all/cursors/x', { method: 'POST', body: 'x'.repeat(10_000) }, 413],
    [`all/cursors/${'x'.repeat(500)}`, {}, 400],
    ['%ff', {}, 404],
  ];
  for (const [path, init, status] of cases) {
    const reply = await call(database, path, init);
    expect([path, reply.status]).toEqual([path, status]);
    expect(reply.body).toMatchObject({ message: expect.any(String), meta: { reason: expect.any(String) } });
  }
  const foreign = await fetch(`${captured.doors.http}/streams/all`, { headers: { authorization: 'Bearer nobody' } });
  expect(foreign.status).toBe(401);
  const tail = await call(database, 'all', { method: 'HEAD' });
  expect(tail.headers.get('stream-next-offset')).toBeTruthy();
});

test('the number of subscribers is limited, a slow subscriber stalls no other, and a revoked key ends its stream', async () => {
  const database = await captured.machine.create();
  await database.sql('CREATE TABLE t (id int PRIMARY KEY, filler text)');
  const slow = await sse(database, 'all?offset=now&live=sse');
  const fast = await sse(database, 'all?offset=now&live=sse');
  slow.response.pause();
  await database.sql("INSERT INTO t SELECT i, repeat('x', 20000) FROM generate_series(1, 1500) i");
  await until(() => fast.messages.length === 1500, { what: 'the fast reader' });
  expect(slow.messages.length).toBeLessThan(1500);
  const third = await sse(database, 'all?offset=now&live=sse');
  expect((await call(database, 'all?offset=now&live=long-poll')).status).toBe(429);
  slow.response.resume();
  await until(() => slow.messages.length === 1500, { what: 'the slow reader' });
  captured.doors.revoked.add(database.record.id);
  await until(() => slow.ended() && fast.ended() && third.ended(), { what: 'the end of the streams' });
  await until(() => database.events.subscribers.open === 0, { what: 'their places back' });
});

test('values that are too large for an event are left out and named, or the event becomes a reset', async () => {
  const database = await captured.machine.create();
  await database.sql(
    'CREATE TABLE big (id int PRIMARY KEY, body text, note text)',
    'CREATE TABLE last (body text, id text PRIMARY KEY)',
    "INSERT INTO big VALUES (1, repeat('x', 3000000), 'small')",
    "INSERT INTO big VALUES (2, repeat('y', 5000000), 'small')",
    // The value is larger than what is read of one change.
    "INSERT INTO big VALUES (3, repeat('z', 60000000), 'small')",
    "INSERT INTO last VALUES (repeat('w', 60000000), 'k')",
    "UPDATE big SET note = 'touched' WHERE id = 3",
    'DELETE FROM big WHERE id = 3',
  );
  await until(() => database.capture.drain(), { what: 'the events' });
  const messages: Record<string, unknown>[] = [];
  let offset = '-1';
  for (;;) {
    const { headers, body } = await call(database, `all?offset=${offset}`);
    messages.push(...(body as Record<string, unknown>[]));
    offset = headers.get('stream-next-offset') as string;
    if (headers.get('stream-up-to-date') === 'true') break;
  }
  expect(messages).toMatchObject([
    { key: '1', value: { body: 'x'.repeat(3_000_000), note: 'small' } },
    { key: '2', value: { id: 2, note: 'small' }, headers: { operation: 'insert', omitted: ['body'] } },
    { key: '3', value: { id: 3 }, headers: { operation: 'insert', omitted: ['body', 'note'] } },
    { headers: { control: 'reset', reason: 'too_large', type: 'public.last' } },
    { key: '3', value: { id: 3, note: 'touched' }, headers: { operation: 'update', unchanged: ['body'] } },
    { key: '3', value: null, headers: { operation: 'delete' } },
  ]);
  expect(messages[1]).not.toHaveProperty('value.body');
});

test('a table that does not exist is a 404 that lists the existing tables, and wakes no suspended database', async () => {
  const database = await captured.machine.create();
  await database.sql(
    'CREATE TABLE "Post" (id int PRIMARY KEY)',
    'CREATE TABLE "all" (id int PRIMARY KEY)',
    'CREATE TABLE ".." (id int PRIMARY KEY); INSERT INTO ".." VALUES (1)',
    'CREATE TABLE gone (id int PRIMARY KEY); INSERT INTO gone VALUES (1)',
    'CREATE SCHEMA other; CREATE TABLE other.gone (id int PRIMARY KEY); INSERT INTO other.gone VALUES (2)',
    'CREATE TABLE old (id int PRIMARY KEY); INSERT INTO old VALUES (1); ALTER TABLE old RENAME TO renamed; INSERT INTO renamed VALUES (2)',
    'CREATE SCHEMA a; CREATE TABLE a."b.c" (id int PRIMARY KEY); INSERT INTO a."b.c" VALUES (1)',
    'CREATE SCHEMA "a.b"; CREATE TABLE "a.b".c (id int PRIMARY KEY); INSERT INTO "a.b".c VALUES (1)',
    'CREATE TABLE "sl/ash ""q" (id int PRIMARY KEY); INSERT INTO "sl/ash ""q" VALUES (1)',
    'CREATE VIEW v AS SELECT 1 AS one',
    'CREATE MATERIALIZED VIEW m AS SELECT 1 AS one',
    'CREATE UNLOGGED TABLE u (id int PRIMARY KEY)',
    'CREATE TEMPORARY TABLE t (id int PRIMARY KEY)',
  );
  await database.capture.drain();
  await database.sql('DROP TABLE gone');
  await until(() => database.capture.drain(), { what: 'the rest' });
  const keysOf = async (path: string): Promise<unknown[]> => {
    const { status, body } = await call(database, `tables/${path}?offset=-1`);
    return [status, ...(body as { type: string; key: string }[]).map(({ type, key }) => `${type} ${key}`)];
  };
  const look = async (): Promise<void> => {
    for (const [path, said] of [
      ['public/post', 'Did you mean public.Post?'],
      ['public/nowhere', 'Its tables are '],
      ['nowhere/Post', 'Did you mean public.Post?'],
      ['public/v', 'is a view'],
      ['public/m', 'is a materialized view'],
      ['public/u', 'is an unlogged table'],
      ['public/t', 'There is no table public.t'],
      ['public/a.b', 'There is no table public."a.b"'],
      ['pg_catalog/pg_class', 'There is no table'],
    ]) {
      const reply = await call(database, `tables/${path}?offset=-1`);
      expect([path, reply.status, reply.body]).toMatchObject([path, 404, { meta: { reason: 'stream_unknown' } }]);
      expect(reply.body).toMatchObject({ message: expect.stringContaining(said as string) });
      expect((await call(database, `tables/${path}/cursors/x`)).status).toBe(404);
    }
    expect(await keysOf('public/Post')).toEqual([200]);
    expect(await keysOf('public/all')).toEqual([200]);
    // A client's URL parser would take these dots for the parent folder; as sent here they are a name.
    const { port } = captured.doors;
    const headers = { authorization: `Bearer ${database.record.id}` };
    const status = await new Promise((resolve, reject) => {
      get({ port, headers, path: '/streams/tables/public/%2E%2E?offset=-1', agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).on('error', reject);
    });
    expect(status).toBe(200);
    expect(await keysOf('public/gone')).toEqual([200, 'public.gone 1']);
    expect(await keysOf('other/gone')).toEqual([200, 'other.gone 2']);
    expect(await keysOf('public/old')).toEqual([200, 'public.old 1']);
    expect(await keysOf('public/renamed')).toEqual([200, 'public.renamed 2']);
    expect(await keysOf('a/b.c')).toEqual([200, 'a."b.c" 1']);
    expect(await keysOf('a.b/c')).toEqual([200, '"a.b".c 1']);
    expect(await keysOf('public/sl%2Fash%20%22q')).toEqual([200, 'public."sl/ash ""q" 1']);
    expect((await call(database, 'tables/public/Post', { method: 'HEAD' })).status).toBe(200);
  };
  await look();
  await database.instance.suspend();
  await look();
  await database.instance.stop();
  await look();
  expect(database.instance.state).toBe('stopped');
  // A table that was created since is known as soon as the server runs.
  await database.sql('CREATE TABLE nowhere (id int PRIMARY KEY)');
  await until(async () => (await call(database, 'tables/public/nowhere?offset=-1')).status === 200, { what: 'it' });
});

test('rows of partitions are in the stream of the root, rows of child tables in the stream of the parent, and each has a stream of its own', async () => {
  const database = await captured.machine.create();
  await database.sql(
    'CREATE TABLE root (region text, id int, note text, PRIMARY KEY (region, id)) PARTITION BY LIST (region)',
    "CREATE TABLE middle PARTITION OF root FOR VALUES IN ('a', 'b') PARTITION BY LIST (region)",
    "CREATE TABLE leaf_a PARTITION OF middle FOR VALUES IN ('a'); CREATE TABLE leaf_b PARTITION OF middle FOR VALUES IN ('b')",
    'CREATE TABLE rest PARTITION OF root DEFAULT',
    'CREATE TABLE empty (id int) PARTITION BY RANGE (id)',
    "INSERT INTO root VALUES ('a', 1, 'x'), ('b', 2, 'x'), ('z', 3, 'x')",
    "UPDATE root SET region = 'b' WHERE id = 1",
    'DELETE FROM root WHERE id = 3',
    'TRUNCATE leaf_b',
    'CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE heir (more text, PRIMARY KEY (id)) INHERITS (parent)',
    "INSERT INTO parent VALUES (1); INSERT INTO heir VALUES (1, 'm')",
  );
  await until(() => database.capture.drain(), { what: 'the events' });
  const read = async (path: string): Promise<string[]> => {
    const { status, body } = await call(database, `${path}?offset=-1`);
    expect(status).toBe(200);
    type Message = { type?: string; key?: string; headers: Record<string, string> };
    return (body as Message[]).map(
      ({ type, key, headers }) =>
        `${headers.operation ?? headers.reason} ${type ?? headers.type} ${key ?? ''} ${headers.partition ?? ''}`,
    );
  };
  const ofRoot = [
    'insert public.root ["a","1"] public.leaf_a',
    'insert public.root ["b","2"] public.leaf_b',
    'insert public.root ["z","3"] public.rest',
    'delete public.root ["a","1"] public.leaf_a',
    'insert public.root ["b","1"] public.leaf_b',
    'delete public.root ["z","3"] public.rest',
    'truncate public.root  public.leaf_b',
  ];
  const ofParent = ['insert public.parent 1 ', 'insert public.heir 1 '];
  const look = async (): Promise<void> => {
    expect(await read('tables/public/root')).toEqual(ofRoot);
    expect(await read('tables/public/middle')).toEqual(ofRoot.filter((line) => line.includes('leaf_')));
    expect(await read('tables/public/leaf_b')).toEqual(ofRoot.filter((line) => line.includes('leaf_b')));
    expect(await read('tables/public/parent')).toEqual(ofParent);
    expect(await read('tables/public/heir')).toEqual(ofParent.slice(1));
    expect(await read('tables/public/empty')).toEqual([]);
    expect(await read('all')).toEqual([...ofRoot, ...ofParent]);
  };
  await look();
  // The same holds when the log is read again while the database is suspended.
  await database.instance.stop();
  await look();
  expect(database.instance.state).toBe('stopped');
});

test('a tenant that writes large rows and aborts its reads holds up no other database', async () => {
  const [greedy, other] = [await captured.machine.create(), await captured.machine.create()];
  await other.sql('CREATE TABLE t (id int PRIMARY KEY)', 'INSERT INTO t VALUES (1)');
  await greedy.sql(
    "CREATE TABLE big AS SELECT i AS id, repeat('x', 4000000) AS body FROM generate_series(1, 20) i",
    "INSERT INTO big VALUES (21, repeat('y', 100000000))",
  );
  await until(() => greedy.capture.drain(), { what: "the greedy one's events" });
  const { result, longestMs } = await longestTurn(async () => {
    let over = 0;
    const reads = Array.from({ length: 60 }, async (_, i) => {
      const reply = await fetch(`${captured.doors.http}/streams/all?offset=-1`, {
        headers: { authorization: `Bearer ${greedy.record.id}` },
        ...(i % 2 === 0 ? { signal: AbortSignal.timeout(20) } : {}),
      }).catch(() => undefined);
      if (reply?.status === 429) await reply.text();
      else await reply?.arrayBuffer().catch(() => undefined);
      over += 1;
    });
    const writes = greedy.sql("INSERT INTO big SELECT i, repeat('z', 4000000) FROM generate_series(31, 40) i");
    // An administrator asks about the other database, and its owner reads, while the greedy tenant is far from done.
    await other.events.status();
    const status = over;
    await other.instance.stop();
    const rows = (await call(other, 'tables/public/t?offset=-1')).body;
    await Promise.all([...reads, writes]);
    return { status, rows };
  });
  expect(result.rows).toHaveLength(1);
  expect(result.status).toBeLessThan(30);
  if (countsThreadTime) {
    // The shortest measured time of one turn with the largest row, so that the bound fits slow machines.
    const wholeMs = inOneGo(() => JSON.parse(JSON.stringify('y'.repeat(100_000_000))));
    expect(longestMs).toBeLessThan(wholeMs);
  }
  await until(() => greedy.events.replies.open === 0, { what: 'the places of the replies' });
});

test('reading a stream of a suspended database reads the log and does not wake the database', async () => {
  const database = await captured.machine.create();
  await database.sql('CREATE TABLE t (id int PRIMARY KEY)', 'INSERT INTO t VALUES (1)');
  await database.instance.stop();
  expect((await call(database, 'tables/public/t?offset=-1')).body).toHaveLength(1);
  const reader = await sse(database, 'tables/public/t?offset=-1&live=sse');
  await until(() => reader.messages.length === 1, { what: 'the row' });
  expect(database.instance.state).toBe('stopped');
  await database.sql('INSERT INTO t VALUES (2)');
  await until(() => reader.messages.length === 2, { what: 'the row written after the wake' });
  reader.close();
});
