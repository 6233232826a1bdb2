import { describe, expect, it } from 'vitest';
import { JoinNode, LetNode, type Node, SequenceNode, VariableNode } from './nodes.ts';
import { NotCovered } from './not-covered.ts';
import { Rows } from './rows.ts';
import { Run } from './run.ts';

const INT4 = 23;
const field = (name: string, typeOid = INT4): Rows['fields'][number] => ({
  name,
  tableOid: 0,
  columnNumber: 0,
  typeOid,
  typeSize: 4,
  typeModifier: -1,
  format: 0,
});
/** A DataRow's payload. */
function dataRow(...values: (string | null)[]): Uint8Array {
  const parts: Buffer[] = [Buffer.from([values.length >> 8, values.length & 255])];
  for (const value of values) {
    const length = Buffer.alloc(4);
    length.writeInt32BE(value === null ? -1 : Buffer.byteLength(value));
    parts.push(length, Buffer.from(value ?? ''));
  }
  return Buffer.concat(parts);
}
const gives = (value: unknown): Node => ({ evaluate: () => value });
const run = (): Run =>
  new Run(
    {},
    { execute: () => Promise.reject(new Error('no statements here')) },
    {
      nowMs: () => 0,
      generate: () => Promise.reject(new Error('no generators here')),
    },
  );
const users = new Rows([field('id')], [dataRow('1'), dataRow('2'), dataRow(null)]);
const posts = new Rows(
  [field('author'), field('title', 25)],
  [dataRow('2', 'a'), dataRow('1', 'b'), dataRow('2', 'c')],
);

describe('JoinNode', () => {
  it('finds the children of each parent, in their order', async () => {
    const join = new JoinNode(gives(users), [
      { node: gives(Promise.resolve(posts)), name: 'posts', on: [['id', 'author']], single: false },
    ]);
    const joined = (await join.evaluate(run())) as Rows;
    expect(joined.attachments[0]?.children).toEqual([[1], [0, 2], []]);
  });

  it('leaves keys of different types to the runtime', async () => {
    const texts = new Rows([field('author', 25)], [dataRow('1')]);
    const join = new JoinNode(gives(users), [
      { node: gives(texts), name: 'posts', on: [['id', 'author']], single: false },
    ]);
    await expect(join.evaluate(run())).rejects.toThrow(NotCovered);
  });

  it('reads no children of a record that is not there', () => {
    const nobody = new Rows([field('id')], [], true);
    const child: Node = {
      evaluate: () => {
        throw new Error('was read');
      },
    };
    const join = new JoinNode(gives(nobody), [{ node: child, name: 'posts', on: [['id', 'author']], single: false }]);
    expect(join.evaluate(run())).toBe(nobody);
  });

  it('sees the failure of every child, of one that fails at once too', async () => {
    let fail: (error: Error) => void = () => {};
    const late = new Promise((_resolve, reject) => {
      fail = reject;
    });
    const atOnce: Node = {
      evaluate: () => {
        throw new NotCovered();
      },
    };
    const on = [['id', 'author']] as const;
    const join = new JoinNode(gives(users), [
      { node: gives(late), name: 'late', on, single: false },
      { node: atOnce, name: 'atOnce', on, single: false },
    ]);
    await expect(join.evaluate(run())).rejects.toThrow(NotCovered);
    // The test runner fails for a rejection that nobody handles.
    fail(new Error('late'));
    await new Promise((resolve) => setImmediate(resolve));
  });
});

describe('LetNode and SequenceNode', () => {
  it('set variables in order, waiting for those that take time, and give the last value', async () => {
    const node = new LetNode(
      [
        { index: 0, node: gives(Promise.resolve('first')) },
        { index: 1, node: new VariableNode(0) },
      ],
      new SequenceNode([gives(Promise.resolve('ignored')), new VariableNode(1)]),
    );
    expect(await node.evaluate(run())).toBe('first');
  });

  it('take no turn of the loop when nothing takes time', () => {
    const node = new LetNode([{ index: 0, node: gives('now') }], new SequenceNode([new VariableNode(0)]));
    expect(node.evaluate(run())).toBe('now');
  });
});
