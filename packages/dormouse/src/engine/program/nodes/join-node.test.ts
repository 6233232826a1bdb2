import { describe, expect, it } from 'vitest';
import { dataRow, field, gives, testRun } from '../../../../test/support/program-run.ts';
import { NeedsRuntime } from '../needs-runtime.ts';
import { RecordSet } from '../records/record-set.ts';
import { JoinNode } from './join-node.ts';
import type { Node } from './nodes.ts';

const users = new RecordSet([field('id')], [dataRow('1'), dataRow('2'), dataRow(null)]);
const posts = new RecordSet(
  [field('author'), field('title', 25)],
  [dataRow('2', 'a'), dataRow('1', 'b'), dataRow('2', 'c')],
);
type Child = { readonly name: string; readonly single: boolean };
const join = (parent: Node, children: readonly Node[], { name, single }: Child = { name: 'posts', single: false }) =>
  new JoinNode(
    {
      parent: { type: 'unit' },
      children: children.map(() => ({
        child: { type: 'unit' },
        on: [['id', 'author']],
        parentField: name,
        isRelationUnique: single,
      })),
      canAssumeStrictEquality: false,
    },
    parent,
    children,
  );

describe('JoinNode', () => {
  it('JoinNode attaches to each parent the children of that parent, in their order', async () => {
    const joined = (await join(gives(users), [gives(Promise.resolve(posts))]).evaluate(testRun())) as RecordSet;
    expect(joined.attachments[0]?.children).toEqual([[1], [0, 2], []]);
  });

  it('JoinNode leaves a join of keys of different types to the runtime', async () => {
    const texts = new RecordSet([field('author', 25)], [dataRow('1')]);
    const run = testRun();
    const joined = await join(gives(users), [gives(texts)]).evaluate(run);
    expect(run.handedOver).toBe(true);
    expect(joined).toEqual([
      { id: 1, posts: [{ author: '1' }] },
      { id: 2, posts: [] },
      { id: null, posts: [] },
    ]);
  });

  it('JoinNode joins records of a node that the runtime evaluated', async () => {
    const joined = await join(gives([{ id: 2 }]), [gives(posts)]).evaluate(testRun());
    expect(joined).toEqual([
      {
        id: 2,
        posts: [
          { author: 2, title: 'a' },
          { author: 2, title: 'c' },
        ],
      },
    ]);
  });

  it('JoinNode reads no children if there is no parent', () => {
    const nobody = new RecordSet([field('id')], [], true);
    const child: Node = {
      evaluate: () => {
        throw new Error('was read');
      },
    };
    expect(join(gives(nobody), [child]).evaluate(testRun())).toBe(nobody);
    expect(join(gives(null), [child]).evaluate(testRun())).toBe(null);
  });

  it('JoinNode handles the failure of every child, also of a child that fails synchronously', async () => {
    let fail: (error: Error) => void = () => {};
    const late = new Promise((_resolve, reject) => {
      fail = reject;
    });
    const atOnce: Node = {
      evaluate: () => {
        throw new NeedsRuntime();
      },
    };
    await expect(join(gives(users), [gives(late), atOnce]).evaluate(testRun())).rejects.toThrow(NeedsRuntime);
    // The test runner fails for an unhandled rejection.
    fail(new Error('late'));
    await new Promise((resolve) => setImmediate(resolve));
  });

  it('JoinNode gives up the event loop between slices while joining many records', async () => {
    const many = (count: number, columns: readonly string[]): RecordSet =>
      new RecordSet(
        columns.map((name) => field(name)),
        Array.from({ length: count }, (_, i) => dataRow(...columns.map(() => String(i)))),
      );
    let turns = 0;
    let counting = true;
    const count = (): void => {
      turns++;
      if (counting) setImmediate(count);
    };
    setImmediate(count);
    const joined = (await join(gives(many(40_000, ['id'])), [gives(many(40_000, ['author']))]).evaluate(
      testRun(),
    )) as RecordSet;
    counting = false;
    expect(joined.attachments[0]?.children[39_999]).toEqual([39_999]);
    expect(turns).toBeGreaterThan(20);
  });

  it('JoinNode ends between two slices when the request is cancelled', async () => {
    const run = testRun();
    const rows = new RecordSet(
      [field('id')],
      Array.from({ length: 20_000 }, (_, i) => dataRow(String(i))),
    );
    const child = new RecordSet([field('author')], []);
    const joining = join(gives(rows), [gives(child)]).evaluate(run);
    run.cancellation.cancel();
    await expect(joining).rejects.toMatchObject({ code: 'interrupted' });
  });
});
