import { describe, expect, it } from 'vitest';
import { dataRow, field, gives, testRun } from '../../../../test/support/program-run.ts';
import { RecordSet } from '../records/record-set.ts';
import {
  ChoiceNode,
  FirstNonEmptyNode,
  LetNode,
  ListNode,
  SequenceNode,
  TransactionNode,
  VariableNode,
} from './nodes.ts';

const one = new RecordSet([field('id')], [dataRow('1')]);
const none = new RecordSet([field('id')], []);

describe('LetNode and SequenceNode', () => {
  it('LetNode and SequenceNode set variables in order, wait for promises, and give the last value', async () => {
    const node = new LetNode(
      [
        { index: 0, node: gives(Promise.resolve('first')) },
        { index: 1, node: new VariableNode(0) },
      ],
      new SequenceNode([gives(Promise.resolve('ignored')), new VariableNode(1)]),
    );
    expect(await node.evaluate(testRun())).toBe('first');
  });

  it('LetNode and SequenceNode take no turn of the event loop if no value is a promise', () => {
    const node = new LetNode([{ index: 0, node: gives('now') }], new SequenceNode([new VariableNode(0)]));
    expect(node.evaluate(testRun())).toBe('now');
  });
});

describe('ChoiceNode', () => {
  it('ChoiceNode evaluates only the branch that the rule chooses', async () => {
    const never = {
      evaluate: () => {
        throw new Error('the other branch');
      },
    };
    const rule = { type: 'rowCountNeq', args: 0 } as const;
    expect(new ChoiceNode(gives(one), rule, gives('kept'), never).evaluate(testRun())).toBe('kept');
    expect(new ChoiceNode(gives(none), rule, never, gives('broken')).evaluate(testRun())).toBe('broken');
    expect(await new ChoiceNode(gives(Promise.resolve(null)), rule, never, gives('broken')).evaluate(testRun())).toBe(
      'broken',
    );
  });
});

describe('FirstNonEmptyNode and ListNode', () => {
  it('FirstNonEmptyNode gives the first variable that holds a record or a value', () => {
    const run = testRun();
    run.variables.push(null, none, [], one, 'later');
    expect(new FirstNonEmptyNode([0, 1, 2, 3, 4]).evaluate(run)).toBe(one);
    expect(new FirstNonEmptyNode([0, 1, 2]).evaluate(run)).toEqual([]);
  });

  it('ListNode evaluates its nodes one after the other', async () => {
    expect(await new ListNode([gives(Promise.resolve(1)), gives(2)]).evaluate(testRun())).toEqual([1, 2]);
  });
});

describe('TransactionNode', () => {
  const recorded = (committed = true): { readonly said: string[]; readonly run: ReturnType<typeof testRun> } => {
    const said: string[] = [];
    const run = testRun({
      begin: () => void said.push('begin'),
      commit: async () => {
        said.push('commit');
        return committed;
      },
      rollback: async () => void said.push('rollback'),
    });
    return { said, run };
  };

  it('TransactionNode begins and commits once, however deep transactions are nested', async () => {
    const { said, run } = recorded();
    expect(await new TransactionNode(new TransactionNode(gives(7))).evaluate(run)).toBe(7);
    expect(said).toEqual(['begin', 'commit']);
  });

  it('TransactionNode begins no transaction inside a transaction of the caller', async () => {
    const { said, run } = recorded();
    run.inTransaction = true;
    expect(await new TransactionNode(gives(7)).evaluate(run)).toBe(7);
    expect(said).toEqual([]);
  });

  it('TransactionNode rolls back if its node fails, and fails if Postgres did not commit', async () => {
    const { said, run } = recorded();
    await expect(new TransactionNode(gives(Promise.reject(new Error('no')))).evaluate(run)).rejects.toThrow('no');
    expect(said).toEqual(['begin', 'rollback']);
    expect(run.inTransaction).toBe(false);
    await expect(new TransactionNode(gives(1)).evaluate(recorded(false).run)).rejects.toMatchObject({
      code: 'internal',
    });
  });
});
