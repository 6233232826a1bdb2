import { describe, expect, it } from 'vitest';
import { testRun } from '../../../test/support/program-run.ts';
import { MemoryBudget } from '../memory-budget.ts';
import { PlansByText } from './plans-by-text.ts';

const plan = (sql: string): object => ({
  type: 'dataMap',
  args: {
    expr: {
      type: 'query',
      args: {
        type: 'templateSql',
        fragments: [{ type: 'stringChunk', chunk: sql }],
        args: [],
        argTypes: [],
        placeholderFormat: { prefix: '$', hasNumbering: true },
        chunkable: false,
      },
    },
    structure: { type: 'object', serializedName: null, fields: {}, skipNulls: false },
    enums: {},
  },
});
const body = (sql: string, params: unknown = {}, more: object = {}): Buffer =>
  Buffer.from(JSON.stringify({ model: 'A', operation: 'findMany', plan: plan(sql), params, ...more }));
const twice = (texts: PlansByText, bytes: Buffer): void => {
  texts.note(bytes);
  texts.note(bytes);
};

describe('PlansByText', () => {
  it('the cache of plans by text knows a plan from the third time on, with other parameters too', () => {
    const texts = new PlansByText(new MemoryBudget(2 ** 24));
    const first = body('SELECT 1', { a: 1 });
    expect(texts.find(first)).toBeUndefined();
    texts.note(first);
    expect(texts.find(first)).toBeUndefined();
    texts.note(first);
    const known = texts.find(body('SELECT 1', { a: '","params":', b: { c: [null] } }, { comments: { x: 'y' } }));
    expect(known?.plan).toEqual(plan('SELECT 1'));
    expect(known?.program).toBeDefined();
    expect(known?.params).toEqual({ a: '","params":', b: { c: [null] } });
    expect(known?.comments).toEqual({ x: 'y' });
  });

  it('the cache of plans by text does not take text that looks like the parameters for the parameters', () => {
    const texts = new PlansByText(new MemoryBudget(2 ** 24));
    const tricky = body('SELECT \',"params":{}\'');
    twice(texts, tricky);
    expect(texts.find(tricky)?.plan).toEqual(plan('SELECT \',"params":{}\''));
    // A member of that name inside the parameters hides where they begin: such a body is parsed in full.
    expect(texts.find(body('SELECT \',"params":{}\'', { x: { y: 1, params: 2 } }))).toBeUndefined();
  });

  it.each([
    ['more behind the parameters', (text: string) => `${text.slice(0, -1)},"plan":{}}`],
    ['bytes behind the end', (text: string) => `${text}x`],
    ['an end that is missing', (text: string) => text.slice(0, -1)],
    ['another plan of the same length', (text: string) => text.replace('SELECT 1', 'SELECT 2')],
    ['another operation', (text: string) => text.replace('findMany', 'findAlle')],
  ])('a request with %s is not taken for a known request', (_name, change) => {
    const texts = new PlansByText(new MemoryBudget(2 ** 24));
    const known = body('SELECT 1');
    twice(texts, known);
    expect(texts.find(Buffer.from(change(known.toString())))).toBeUndefined();
  });

  it('the cache of plans by text does not know a request whose parameters are not UTF-8', () => {
    const texts = new PlansByText(new MemoryBudget(2 ** 24));
    const known = body('SELECT 1', { a: 'é' });
    twice(texts, known);
    const broken = Buffer.from(known);
    broken[broken.lastIndexOf(0xa9)] = 0xff;
    expect(texts.find(broken)).toBeUndefined();
    expect(texts.find(known)).toBeDefined();
  });

  it('a full cache of plans by text drops the least recently used plans', () => {
    const texts = new PlansByText(new MemoryBudget(400_000));
    const kept = body('SELECT 0');
    twice(texts, kept);
    for (let number = 1; number < 300; number++) {
      twice(texts, body(`SELECT ${number}`));
      expect(texts.find(kept)).toBeDefined();
    }
    expect(texts.find(body('SELECT 1'))).toBeUndefined();
    expect(texts.find(body('SELECT 299'))).toBeDefined();
  });

  it('the cache of plans by text keeps plans apart that differ in a byte that no fingerprint reads', () => {
    const texts = new PlansByText(new MemoryBudget(2 ** 24));
    const sqls = Array.from({ length: 50 }, (_, n) => `SELECT ${'x'.repeat(3000)}${n + 10}${'y'.repeat(3000)}`);
    for (const sql of sqls) twice(texts, body(sql));
    for (const sql of sqls) expect(texts.find(body(sql))?.plan).toEqual(plan(sql));
  });

  it("the cache of plans by text adds the texts that a program keeps for lists of other lengths to the plan's weight", async () => {
    const budget = new MemoryBudget(2 ** 24);
    const texts = new PlansByText(budget);
    const listing = JSON.parse(body('SELECT 1 WHERE 1 IN ').toString());
    const { args } = listing.plan.args.expr;
    args.fragments.push({ type: 'parameterTuple', itemPrefix: '', itemSeparator: ',', itemSuffix: '' });
    args.args.push({ prisma__type: 'param', prisma__value: { name: 'list', type: 'Int' } });
    args.argTypes.push({ arity: 'scalar', scalarType: 'int', dbType: 'INTEGER' });
    const bytes = Buffer.from(JSON.stringify(listing));
    twice(texts, bytes);
    const atFirst = budget.bytes;
    let sent = 0;
    const run = testRun({
      execute: async (sql) => {
        sent += sql.length;
        return { fields: [], rows: [], commandTag: 'SELECT 0', affectedRows: 0 };
      },
    });
    for (const list of [[1], [1, 2], [1, 2, 3], [4, 5]]) {
      Object.assign(run.parameters, { list });
      await texts.find(bytes)?.program?.evaluate(run);
    }
    texts.find(bytes);
    // The last list has a length that came before.
    expect(budget.bytes - atFirst).toBe(sent - 'SELECT 1 WHERE 1 IN ($1,$2)'.length);
    expect(sent).toBeGreaterThan(80);
  });
});
