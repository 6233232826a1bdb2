import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rawPlan } from '../support/bare-engine.ts';
import { CLIENT_VERSIONS, type ClientVersion, type Loose } from '../support/clients.ts';
import { emptyTables } from '../support/library.ts';
import { startTargets, type Targets } from '../support/target.ts';

// Another session changes tables while every connection holds prepared statements for them and the engine holds cached
// plans. A client must see the table as it is: never the error "cached plan must not change result type", and never a
// former column or a former type.
const CONNECTIONS = 3;
/** The number of rounds: more than any cache needs to be warm on every connection. */
const ROUNDS = 4;

let targets: Targets;
beforeAll(async () => {
  targets = await startTargets({ kind: 'platform', flags: ['--pool-connections', String(CONNECTIONS)] });
});
afterAll(() => targets?.stop());

/** Repeats the query on all connections at once; every answer must be the same. */
async function warm<T>(ask: () => Promise<T>): Promise<T> {
  let first: T | undefined;
  for (let round = 0; round < ROUNDS; round++) {
    const answers = await Promise.all(Array.from({ length: 2 * CONNECTIONS }, ask));
    first ??= answers[0] as T;
    for (const answer of answers) expect(answer).toEqual(first);
  }
  return first as T;
}

/** Runs `change` while `ask` is repeated without a pause; `right` must accept every answer. */
async function during<T>(
  ask: () => Promise<T>,
  right: (answer: T) => void,
  change: () => Promise<unknown>,
): Promise<void> {
  let done = false;
  const load = Array.from({ length: 2 * CONNECTIONS }, async () => {
    while (!done) right(await ask());
  });
  // Set below, when the change is complete.
  for (const each of load) each.catch(() => {});
  try {
    await change();
  } finally {
    done = true;
  }
  await Promise.all(load);
}

/** Sends the bodies that a client of each version sends, without the client. */
async function raw(
  version: ClientVersion,
  sql: string,
  args: readonly unknown[] = [],
  kind: 'query' | 'execute' = 'query',
): Promise<Loose> {
  if (version === 6) throw new Error('raw bodies are of Prisma 7');
  const url = new URL((targets.of(version).database as Loose).prismaUrl);
  const reply = await fetch(new URL('/query', `http://${url.host}`), {
    method: 'POST',
    headers: { authorization: `Bearer ${url.searchParams.get('api_key')}`, 'content-type': 'application/json' },
    body: JSON.stringify(rawPlan(sql, args, kind)),
  });
  return { status: reply.status, ...((await reply.json()) as object) };
}

describe.each(CLIENT_VERSIONS)('tables that change under the stock client of Prisma %i', (version) => {
  let prisma: Loose;
  let session: pg.Client;
  beforeAll(async () => {
    prisma = targets.of(version).open();
    session = new pg.Client({ connectionString: targets.of(version).postgresUrl });
    await session.connect();
    await emptyTables(prisma);
    await prisma.user.create({ data: { id: 1, email: 'a@x', name: 'a', tags: ['t'] } });
    await prisma.post.createMany({
      data: [1, 2, 3].map((id) => ({ id, title: `title ${id}`, authorId: 1, views: id })),
    });
  });
  afterAll(() => session?.end());

  const posts = (): Promise<Loose> =>
    prisma.post.findMany({ orderBy: { id: 'asc' }, include: { author: { select: { name: true } } } });
  const star = (): Promise<Loose> => prisma.$queryRawUnsafe('select * from posts order by id');

  it('a client still works while its tables gain and lose columns that it does not know', async () => {
    const before = await warm(posts);
    const columns = Object.keys((await warm(star))[0]);
    await during(
      posts,
      (answer) => expect(answer).toEqual(before),
      async () => {
        for (let i = 0; i < 5; i++) {
          await session.query(`alter table posts add column extra_${i} int default ${i}`);
          expect(Object.keys((await star())[0])).toEqual([...columns, `extra_${i}`]);
          expect((await star())[0][`extra_${i}`]).toBe(i);
          await session.query(`alter table posts drop column extra_${i}`);
          expect(Object.keys((await star())[0])).toEqual(columns);
        }
      },
    );
    expect(await warm(posts)).toEqual(before);
    expect(Object.keys((await warm(star))[0])).toEqual(columns);
  });

  it('a client gets P2022 while a column that it knows is missing, and right rows once the column is back', async () => {
    const before = await warm(posts);
    await session.query('alter table posts rename column views to seen');
    const error = await posts().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'P2022' });
    for (let i = 0; i < ROUNDS; i++) await expect(posts()).rejects.toMatchObject({ code: 'P2022' });
    await session.query('alter table posts rename column seen to views');
    expect(await warm(posts)).toEqual(before);
    // Two columns swap their names: an outdated plan would find both columns, each with the values of the other.
    await session.query(
      'begin; alter table posts rename column title to other; alter table posts rename column body to title;' +
        'alter table posts rename column other to body; commit',
    );
    const swapped = before.map((post: Loose) => ({ ...post, title: post.body, body: post.title }));
    expect(await warm(posts)).toEqual(swapped);
    await session.query(
      'begin; alter table posts rename column title to other; alter table posts rename column body to title;' +
        'alter table posts rename column other to body; commit',
    );
    expect(await warm(posts)).toEqual(before);
  });

  it('a client sees the new types when the types of columns change', async () => {
    await session.query('create table typed (id int primary key, n int, r real, t text)');
    await session.query("insert into typed values (1, 5, 0.5, 'x')");
    const read = (): Promise<Loose> => prisma.$queryRawUnsafe('select * from typed where n::text = $1', '5');
    const write = (value: unknown): Promise<number> => prisma.$executeRawUnsafe('update typed set r = $1', value);
    expect(await warm(read)).toEqual([{ id: 1, n: 5, r: 0.5, t: 'x' }]);
    expect(await warm(() => write(0.5))).toBe(1);
    await session.query('alter table typed alter n type text');
    expect(await warm(read)).toEqual([{ id: 1, n: '5', r: 0.5, t: 'x' }]);
    await session.query('alter table typed alter n type int using n::int, alter r type double precision');
    // A parameter of the column's former type would be cut to six digits without an error.
    expect(await warm(() => write(0.123456789012345))).toBe(1);
    expect(await warm(read)).toEqual([{ id: 1, n: 5, r: 0.123456789012345, t: 'x' }]);
    await session.query('drop table typed');
    await expect(read()).rejects.toMatchObject({ code: 'P2010' });
    await session.query("create table typed (t text, r int, n bigint); insert into typed values ('y', 2, 5)");
    expect(await warm(read)).toEqual([{ t: 'y', r: 2, n: 5n }]);
    expect(await warm(() => write(3))).toBe(1);
    await session.query('drop table typed');
  });

  it('a client works with a table that was dropped and created again with its columns in another order', async () => {
    const find = (): Promise<Loose> => prisma.account.findMany({ orderBy: { id: 'asc' } });
    let id = 0;
    const create = async (): Promise<Loose> => {
      id += 1;
      const made = await prisma.account.create({ data: { id, owner: 'o', balance: id } });
      expect(made).toEqual({ id: made.balance, owner: 'o', balance: made.balance });
      return made.owner;
    };
    await warm(create);
    expect((await warm(find)).length).toBe(id);
    await session.query('drop table accounts');
    await expect(find()).rejects.toMatchObject({ code: 'P2021' });
    await session.query(
      'create table accounts (balance bigint not null default 0, owner varchar(9) not null, id int primary key)',
    );
    expect(await warm(find)).toEqual([]);
    await session.query('alter table accounts alter balance type int');
    id = 0;
    await warm(create);
    expect((await warm(find)).map((row: Loose) => row.id)).toEqual(Array.from({ length: id }, (_, i) => i + 1));
    await session.query('truncate accounts');
  });

  it('a client works with an enum that grows, and with one that is created again under its name', async () => {
    const members = (): Promise<Loose> =>
      prisma.user.findMany({ where: { role: 'MEMBER' }, select: { id: true, role: true } });
    const touch = (): Promise<Loose> =>
      prisma.user.updateMany({ where: { role: { in: ['MEMBER', 'ADMIN'] } }, data: { role: 'MEMBER' } });
    expect(await warm(members)).toEqual([{ id: 1, role: 'MEMBER' }]);
    expect(await warm(touch)).toEqual({ count: 1 });
    await session.query("alter type user_role add value 'GUEST'");
    expect(await warm(members)).toEqual([{ id: 1, role: 'MEMBER' }]);
    await session.query(
      `begin; alter table users alter role drop default; alter type user_role rename to user_role_old;
       create type user_role as enum ('administrator', 'EDITOR', 'MEMBER');
       alter table users alter role type user_role using role::text::user_role;
       alter table users alter role set default 'MEMBER';
       alter table samples alter role type user_role using role::text::user_role;
       alter table samples alter roles type user_role[] using roles::text[]::user_role[];
       drop type user_role_old; commit`,
    );
    expect(await warm(members)).toEqual([{ id: 1, role: 'MEMBER' }]);
    expect(await warm(touch)).toEqual({ count: 1 });
  });

  it('a client finds tables only where the search path of its transaction says', async () => {
    await session.query(
      "create schema aside; create table aside.posts (word text); insert into aside.posts values ('here')",
    );
    const before = await warm(star);
    for (let i = 0; i < ROUNDS; i++) {
      const inside = await prisma.$transaction(async (tx: Loose) => {
        await tx.$executeRawUnsafe('set local search_path to aside');
        return [await tx.$queryRawUnsafe('select * from posts'), await tx.$queryRawUnsafe('select * from posts')];
      });
      expect(inside).toEqual([[{ word: 'here' }], [{ word: 'here' }]]);
      expect(await star()).toEqual(before);
    }
    expect(await warm(star)).toEqual(before);
    await session.query('drop schema aside cascade');
  });

  it('a statement of an interactive transaction sees a table that changed since the transaction’s last statement', async () => {
    await warm(star);
    for (let i = 0; i < ROUNDS; i++) {
      const rows = await prisma.$transaction(async (tx: Loose) => {
        await tx.user.count();
        await session.query(`alter table posts add column between_${i} int`);
        return tx.$queryRawUnsafe('select * from posts order by id');
      });
      expect(rows[0]).toHaveProperty(`between_${i}`, null);
      // The same holds when the transaction itself changes the table.
      const own = await prisma.$transaction(async (tx: Loose) => {
        await tx.$queryRawUnsafe('select * from posts order by id');
        await tx.$executeRawUnsafe(`alter table posts drop column between_${i}`);
        return tx.$queryRawUnsafe('select * from posts order by id');
      });
      expect(own[0]).not.toHaveProperty(`between_${i}`);
    }
  });
});

it('raw queries see every change, made by a session or by another raw query', async () => {
  const session = new pg.Client({ connectionString: targets.of(7).postgresUrl });
  await session.connect();
  try {
    await session.query('create table bare (a int); insert into bare values (1)');
    const read = (): Promise<Loose> => raw(7, 'select * from bare');
    const rows = async (): Promise<Loose> => {
      const { status, data } = await warm(read);
      expect(status).toBe(200);
      return data;
    };
    const first = await rows();
    expect(JSON.stringify(first)).toContain('"a"');
    await session.query("alter table bare add column b text default 'two'");
    expect(JSON.stringify(await rows())).toContain('two');
    expect((await raw(7, 'alter table bare drop column b', [], 'execute')).status).toBe(200);
    expect(await rows()).toEqual(first);
    expect((await raw(7, 'alter table bare alter a type text', [], 'execute')).status).toBe(200);
    expect(JSON.stringify(await rows())).toContain('"1"');
  } finally {
    await session.query('drop table if exists bare');
    await session.end();
  }
});
