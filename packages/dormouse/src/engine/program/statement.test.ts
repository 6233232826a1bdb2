import type { QueryPlanDbQuery } from '@prisma/client-engine-runtime';
import { describe, expect, it } from 'vitest';
import { testRun } from '../../../test/support/program-run.ts';
import { buildNodes } from './build-nodes.ts';
import { NeedsRuntime } from './needs-runtime.ts';
import { ExecuteNode } from './nodes/nodes.ts';
import { Statement } from './statement.ts';

type Template = Extract<QueryPlanDbQuery, { type: 'templateSql' }>;
const INT = { arity: 'scalar', scalarType: 'int', dbType: 'INTEGER' } as const;
const param = (name: string): object => ({ prisma__type: 'param', prisma__value: { name, type: 'Int' } });
const product = (left: string, right: string): object => ({
  prisma__type: 'generatorCall',
  prisma__value: { name: 'product', args: [param(left), param(right)] },
});
const query = (fragments: unknown, args: unknown, argTypes: unknown): QueryPlanDbQuery =>
  ({
    type: 'templateSql',
    fragments,
    args,
    argTypes,
    placeholderFormat: { prefix: '$', hasNumbering: true },
    chunkable: true,
  }) as Template;
const links = query(
  [
    { type: 'stringChunk', chunk: 'INSERT INTO link VALUES ' },
    { type: 'parameterTupleList', itemPrefix: '(', itemSeparator: ',', itemSuffix: ')', groupSeparator: ', ' },
  ],
  [product('left', 'right')],
  [{ arity: 'tuple', elements: [INT, INT] }],
);

/** A run that records the statements it sends. */
function remembering(): { readonly run: ReturnType<typeof testRun>; readonly sent: unknown[][] } {
  const sent: unknown[][] = [];
  const result = { fields: [], rows: [], commandTag: 'INSERT 0 1', affectedRows: 1 };
  const run = testRun({
    execute: async (sql, values, pipelined) => {
      sent.push([sql, values, pipelined]);
      return result;
    },
    executeRaw: async ({ sql, args }) => {
      sent.push([sql.length, args.length, 'by the runtime']);
      return 1;
    },
    begin: () => void sent.push(['begin']),
    commit: async () => true,
    step: (_name, take) => take(),
  });
  return { run, sent };
}
const scope = new Map([
  ['left', 0],
  ['right', 1],
]);

describe('Statement', () => {
  it('a statement binds every pair of two lists', async () => {
    const { run, sent } = remembering();
    run.variables.push([1, 2], [7, 8]);
    await new Statement(links, scope, new Set()).execute(run);
    run.variables[0] = 5;
    await new Statement(links, scope, new Set()).execute(run);
    expect(sent).toEqual([
      ['INSERT INTO link VALUES ($1,$2), ($3,$4), ($5,$6), ($7,$8)', ['1', '7', '1', '8', '2', '7', '2', '8'], false],
      ['INSERT INTO link VALUES ($1,$2), ($3,$4)', ['5', '7', '5', '8'], false],
    ]);
  });

  it('a statement with more values than a statement may have is left to the runtime, which splits the statement', async () => {
    const { run, sent } = remembering();
    run.variables.push(
      Array.from({ length: 200 }, (_, i) => i),
      Array.from({ length: 200 }, (_, i) => i),
    );
    expect(await new ExecuteNode(new Statement(links, scope, new Set())).evaluate(run)).toBe(3);
    expect(sent.map(([, count]) => count)).toEqual([undefined, 32_766, 32_766, 14_468]);
    expect(run.handedOver).toBe(true);
  });

  it('a statement refuses a product of lists that would fill the memory', () => {
    const { run, sent } = remembering();
    const many = Array.from({ length: 3000 }, (_, i) => i);
    run.variables.push(many, many);
    expect(() => new Statement(links, scope, new Set()).execute(run)).toThrow(/product/);
    expect(sent).toEqual([]);
  });

  it('a program knows whether its statements only read', () => {
    const select = query([{ type: 'stringChunk', chunk: ' select 1' }], [], []);
    const write = query(
      [{ type: 'stringChunk', chunk: 'WITH x AS (DELETE FROM t RETURNING 1) SELECT * FROM x' }],
      [],
      [],
    );
    expect(buildNodes({ type: 'query', args: select }).reads).toBe(true);
    expect(buildNodes({ type: 'query', args: write }).reads).toBe(false);
    expect(
      buildNodes({
        type: 'seq',
        args: [
          { type: 'execute', args: write },
          { type: 'query', args: select },
        ],
      }).reads,
    ).toBe(false);
  });

  it('a statement is not built from a raw query or from types that do not fit', () => {
    const raw: QueryPlanDbQuery = { type: 'rawSql', sql: 'SELECT 1', args: [], argTypes: [] };
    expect(() => buildNodes({ type: 'query', args: raw })).toThrow(NeedsRuntime);
    const mixed = query([{ type: 'parameter' }], [param('left')], [{ arity: 'tuple', elements: [INT] }]);
    expect(() => new Statement(mixed, scope, new Set())).toThrow(NeedsRuntime);
  });
});
