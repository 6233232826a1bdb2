import { afterEach, describe, expect, it } from 'vitest';
import { until } from '../../../test/support/until.ts';
import { Deadline, type Logger, systemClock } from '../../base/index.ts';
import { Compiler, type CompilerOptions, QueryRefused } from './compiler.ts';

const schemaOf = (models: number): string => {
  const body = Array.from(
    { length: models },
    (_, index) =>
      `model M${index} {\n id Int @id\n name String\n kind Kind\n next M${(index + 1) % models}? @relation("r${index}", fields: [nextId], references: [id])\n nextId Int?\n back M${(index + models - 1) % models}[] @relation("r${(index + models - 1) % models}")\n}`,
  );
  return `datasource db {\n provider = "postgresql"\n}\nenum Kind {\n A\n B @map("b")\n}\n${body.join('\n')}\n`;
};
const source = (hash: string, text: string) => ({ hash, text: async () => text });
const findMany = (where: object): string =>
  JSON.stringify({
    modelName: 'M0',
    action: 'findMany',
    query: { arguments: { where }, selection: { $scalars: true } },
  });
/** A query that the compiler cannot compile in time: thousands of conditions, each with a relation to join. */
const monstrous = findMany({
  AND: Array.from({ length: 80_000 }, (_, index) => ({
    next: { is: { next: { is: { name: { contains: `x${index}` } } } } },
  })),
});
/** A query that takes the compiler several hundred milliseconds. */
const slowQuery = findMany({
  AND: Array.from({ length: 6000 }, (_, index) => ({ next: { is: { name: { contains: `x${index}` } } } })),
});
const soon = (): Deadline => Deadline.in(systemClock, 60_000);

const opened: Compiler[] = [];
const messages: string[] = [];
const log: Logger = { log: (_level, message, fields) => messages.push(`${message}: ${fields?.reason}`) };
function open(options: Partial<CompilerOptions> = {}): Compiler {
  const compiler = new Compiler({ clock: systemClock, log, ...options });
  opened.push(compiler);
  return compiler;
}
afterEach(async () => {
  messages.length = 0;
  await Promise.all(opened.splice(0).map((compiler) => compiler.close()));
});

describe('the compiler', () => {
  it('the compiler compiles a query for the schema that the query names', async () => {
    const compiler = open();
    const one = source('1', schemaOf(2));
    expect(await compiler.compile('a', 'compile', one, findMany({ id: 1 }), soon())).toMatchObject({ type: 'dataMap' });
    const other = source('2', schemaOf(2).replaceAll('name', 'title'));
    await expect(compiler.compile('a', 'compile', other, findMany({ name: 'x' }), soon())).rejects.toMatchObject({
      code: 'P2009',
      meta: { kind: 'UnknownInputField' },
    });
    await expect(compiler.compile('a', 'compile', one, 'garbage', soon())).rejects.toBeInstanceOf(QueryRefused);
  });

  it('the compiler ends a query that takes too long, and no other query', async () => {
    const compiler = open({ compileMsMax: 1500 });
    const schema = source('1', schemaOf(3));
    // The queries behind it run in a new thread.
    const [hostile, ...others] = await Promise.allSettled([
      compiler.compile('b', 'compile', schema, monstrous, soon()),
      compiler.compile('a', 'compile', schema, findMany({ id: 2 }), soon()),
      compiler.compile('c', 'compile', schema, findMany({ id: 3 }), soon()),
    ]);
    expect(hostile).toMatchObject({ status: 'rejected', reason: { code: 'query_timeout' } });
    expect(messages).toContain('a thread is replaced: a job outlasted its deadline');
    for (const other of others) expect(other).toMatchObject({ status: 'fulfilled', value: { type: 'dataMap' } });
  });

  it('the compiler fails a waiting query at the deadline of the query, and never ends the thread because of that', async () => {
    const compiler = open({ compileMsMax: 60_000 });
    const schema = source('1', schemaOf(3));
    await compiler.compile('modest', 'compile', schema, findMany({}), soon());
    const impatient = Array.from({ length: 20 }, () =>
      compiler.compile('impatient', 'compile', schema, slowQuery, Deadline.in(systemClock, 1)),
    );
    const modest = compiler.compile('modest', 'compile', schema, findMany({ id: 1 }), soon());
    for (const each of await Promise.allSettled(impatient)) {
      expect(each).toMatchObject({ status: 'rejected', reason: { code: 'query_timeout' } });
    }
    expect(await modest).toMatchObject({ type: 'dataMap' });
    // The query that had begun was finished; the others never began.
    expect(messages).toEqual([]);
  });

  it('the compiler refuses queries of the database that fills the queue, not those of other databases', async () => {
    const compiler = open({ waitingMax: 50 });
    const schema = source('1', schemaOf(3));
    const ask = (owner: string): Promise<unknown> =>
      compiler.compile(owner, 'compile', schema, findMany({ id: 1 }), soon());
    const greedy = Promise.allSettled(Array.from({ length: 200 }, () => ask('greedy')));
    const others = await Promise.allSettled(Array.from({ length: 10 }, (_, index) => ask(`other ${index % 5}`)));
    expect(others.map(({ status }) => status)).toEqual(others.map(() => 'fulfilled'));
    const ended = await greedy;
    const refused = ended.filter(({ status }) => status === 'rejected');
    expect(ended.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(30);
    expect(refused.length).toBeGreaterThan(100);
    for (const each of refused) expect(each).toMatchObject({ reason: { code: 'queue_full' } });
  });

  it('the compiler serves databases in turns, however many queries one database has', async () => {
    const compiler = open();
    const schema = source('1', schemaOf(2));
    await compiler.compile('a', 'compile', schema, findMany({}), soon());
    const order: string[] = [];
    const ask = (owner: string): Promise<unknown> =>
      compiler.compile(owner, 'compile', schema, findMany({ id: 1 }), soon()).then(() => order.push(owner));
    await Promise.all([...Array.from({ length: 50 }, () => ask('greedy')), ask('modest'), ask('modest')]);
    expect(order.lastIndexOf('modest')).toBeLessThan(6);
  });

  it('the compiler lets the slow queries of a database delay only that database', async () => {
    const compiler = open({ compileMsMax: 60_000 });
    const schema = source('1', schemaOf(3));
    await compiler.compile('modest', 'compile', schema, findMany({}), soon());
    const order: string[] = [];
    const ask = (owner: string, query: string): Promise<unknown> =>
      compiler.compile(owner, 'compile', schema, query, soon()).then(() => order.push(owner));
    const slow = Array.from({ length: 4 }, () => ask('greedy', slowQuery));
    await slow[0];
    // The other slow queries run in the second thread. Each takes at least as long as all of these.
    for (let index = 0; index < 10; index++) await ask('modest', findMany({ id: index }));
    await Promise.all(slow);
    expect(order.lastIndexOf('modest')).toBeLessThan(order.lastIndexOf('greedy'));
  });

  it('the compiler replaces a thread that has grown too large, without an error', async () => {
    const compiler = open({ compilerBytesMax: 1 });
    const schema = source('1', schemaOf(2));
    for (let round = 0; round < 3; round++) {
      expect(await compiler.compile('a', 'compile', schema, findMany({ id: round }), soon())).toBeDefined();
    }
    expect(messages).toContain('a thread is replaced: its memory has grown');
  });

  it('the compiler gives the facts about a schema, or says why the schema is refused', async () => {
    const compiler = open();
    const { parameters } = await compiler.load('a', schemaOf(3), soon());
    expect(parameters?.enums).toEqual({ Kind: { A: 'A', B: 'b' } });
    expect(parameters?.graph.rootNames).toEqual(
      expect.arrayContaining(['M0.findMany', 'M2.upsertOne', 'M1.createManyAndReturn']),
    );
    await expect(compiler.load('a', schemaOf(3).replace('Int @id', 'Nope @id'), soon())).rejects.toMatchObject({
      code: 'schema_invalid',
      message: expect.stringContaining('Type "Nope"'),
    });
    await expect(compiler.load('a', '', soon())).rejects.toMatchObject({ code: 'schema_invalid' });
  });

  it('the compiler reads the metadata of a large schema while validating schemas of other databases', async () => {
    const compiler = open();
    const large = await compiler.load('large', schemaOf(300), soon());
    const small = await compiler.load('small', schemaOf(3), soon());
    await until(() => large.parameters !== undefined && small.parameters !== undefined, {
      what: 'both are read',
      withinMs: 60_000,
    });
    expect(large.parameters?.graph.rootNames).toContain('M299.findMany');
    expect(small.parameters?.graph.rootNames).toContain('M2.findMany');
    expect(messages).toEqual([]);
  }, 90_000);

  it('once closed, the compiler refuses every job', async () => {
    const compiler = open();
    const schema = source('1', schemaOf(2));
    const ask = (): Promise<unknown> => compiler.compile('a', 'compile', schema, findMany({}), soon());
    const [asked] = await Promise.all([Promise.allSettled([ask(), ask()]), compiler.close()]);
    for (const outcome of asked) expect(outcome).toMatchObject({ reason: { code: 'shutting_down' } });
    await expect(ask()).rejects.toMatchObject({ code: 'shutting_down' });
  });
});
