import { describe, expect, it } from 'vitest';
import { DormouseError } from '../../base/index.ts';
import { PostgresError } from '../../wire/index.ts';
import { ConnectionLost } from './connection-lost.ts';

const fatal = (code: string, routine: string): PostgresError => new PostgresError({ severity: 'FATAL', code, routine });

describe('ConnectionLost', () => {
  it.each<[string, PostgresError | undefined, boolean, string, boolean]>([
    ['an administrator ends the session', fatal('57P01', 'ProcessInterrupts'), false, '57P01', true],
    ['the server is stopped', fatal('57P01', 'ProcessInterrupts'), true, 'database_stopped', true],
    ['a timeout ends the session', fatal('25P03', 'ProcessInterrupts'), true, '25P03', true],
    ['the postmaster is gone while the backend reads', fatal('57P01', 'secure_read'), false, 'database_crashed', true],
    [
      'the postmaster is gone while the backend answers',
      fatal('57P01', 'secure_write'),
      false,
      'database_crashed',
      false,
    ],
    ['another process of the server has crashed', fatal('57P02', 'quickdie'), false, 'database_crashed', false],
    ['the connection ends without an error', undefined, false, 'database_crashed', false],
  ])('if %s, the caller hears the error that says so', (_, said, serverEnds, code, orderly) => {
    const lost = new ConnectionLost(said, undefined);
    expect([lost.toError(serverEnds).code, lost.orderly]).toEqual([code, orderly]);
  });

  it('if the pool closed the connection, the caller hears the reason of the pool', () => {
    const reason = new DormouseError('query_timeout');
    expect(new ConnectionLost(fatal('57P01', 'ProcessInterrupts'), reason).toError(false)).toBe(reason);
  });
});
