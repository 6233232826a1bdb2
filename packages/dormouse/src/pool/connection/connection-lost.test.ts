import { describe, expect, it } from 'vitest';
import { DormouseError } from '../../base/index.ts';
import { PostgresError } from '../../wire/index.ts';
import { ConnectionLost } from './connection-lost.ts';

const fatal = (code: string, routine: string): PostgresError => new PostgresError({ severity: 'FATAL', code, routine });

describe('a connection that was lost', () => {
  it.each<[string, PostgresError | undefined, boolean, string, boolean]>([
    ['by a command of an administrator', fatal('57P01', 'ProcessInterrupts'), false, '57P01', true],
    ['by the stop of its server', fatal('57P01', 'ProcessInterrupts'), true, 'database_stopped', true],
    ['by a timeout of its own', fatal('25P03', 'ProcessInterrupts'), true, '25P03', true],
    ['by the end of its postmaster, before it read', fatal('57P01', 'secure_read'), false, 'database_crashed', true],
    ['by the end of its postmaster, as it answered', fatal('57P01', 'secure_write'), false, 'database_crashed', false],
    ['by a crash of another process', fatal('57P02', 'quickdie'), false, 'database_crashed', false],
    ['without a word', undefined, false, 'database_crashed', false],
  ])('%s is told as what it was', (_, said, serverEnds, code, orderly) => {
    const lost = new ConnectionLost(said, undefined);
    expect([lost.toError(serverEnds).code, lost.orderly]).toEqual([code, orderly]);
  });

  it('for a reason of ours is told as that', () => {
    const reason = new DormouseError('query_timeout');
    expect(new ConnectionLost(fatal('57P01', 'ProcessInterrupts'), reason).toError(false)).toBe(reason);
  });
});
