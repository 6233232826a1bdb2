import {
  assert,
  Cancellation,
  type Clock,
  DormouseError,
  type KeyId,
  type Timer,
  type TransactionId,
} from '../../base/index.ts';
import type { Lease } from '../../pool/index.ts';
import type { PrismaRuntime } from '../prisma-runtime/index.ts';
import type { IsolationLevel } from '../statements/index.ts';
import { type OperationBounds, Statements } from '../statements/index.ts';
import {
  type TransactionEnd,
  type TransactionOperation,
  transactionAborted,
  transactionEnded,
} from './transaction-errors.ts';

/**
 * Requests that may wait for their turn in one transaction: a client that sends thousands at once is told to slow down.
 */
const WAITING_MAX = 4096;
/** Nested transactions (open savepoints) in one transaction. */
const DEPTH_MAX = 64;

export interface OpenTransactionOptions {
  readonly id: TransactionId;
  /** The key that started the transaction. */
  readonly keyId: KeyId;
  readonly lease: Lease;
  /** For BEGIN, which goes out with the first statement and so saves a round trip. */
  readonly isolationLevel: IsolationLevel | undefined;
  /** How long the transaction may stay open from now on. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly runtime: PrismaRuntime;
  /** Called once with how the transaction ended. Its lease is given back then or soon after. */
  readonly onEnd: (end: TransactionEnd) => void;
}

/**
 * One interactive transaction. Its operations run one at a time, in order. The transaction ends by commit, by rollback
 * or by its timer, and gives its connection back in each case.
 */
export class OpenTransaction {
  readonly #options: OpenTransactionOptions;
  #begun = false;
  /** Fires when the transaction expires or the database closes, and cancels the statement that runs. */
  readonly #cancellation: Cancellation = new Cancellation();
  readonly #timer: Timer;
  #end: TransactionEnd | undefined;
  /** Resolves when the last operation has ended, successful or not. */
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  /** Names of open savepoints, the innermost last. */
  readonly #savepoints: string[] = [];
  #savepointsMade = 0;

  constructor(options: OpenTransactionOptions) {
    const { clock, timeoutMs } = options;
    this.#options = options;
    const startedMs = clock.monotonic();
    this.#timer = clock.after(timeoutMs, () => {
      void this.abandon({ how: 'timed_out', timeoutMs, takenMs: clock.monotonic() - startedMs });
    });
  }

  get id(): TransactionId {
    return this.#options.id;
  }

  get keyId(): KeyId {
    return this.#options.keyId;
  }

  /** Sends BEGIN before the first statement. The transaction ends if BEGIN fails. */
  async begin(bounds: OperationBounds): Promise<void> {
    try {
      await this.#inTurn('start', bounds, async () => {});
    } catch (error) {
      await this.abandon({ how: 'rolled_back' });
      throw error;
    }
  }

  /** Opens a savepoint: a nested transaction, which the next commit or rollback closes. */
  startNested(bounds: OperationBounds): Promise<void> {
    return this.#inTurn('start', bounds, async (statements) => {
      if (this.#savepoints.length >= DEPTH_MAX) throw new DormouseError('transactions_exhausted');
      const name = `dormouse_${this.#savepointsMade++}`;
      await statements.ownCommand(`SAVEPOINT ${name}`);
      this.#savepoints.push(name);
    });
  }

  /** Runs one operation, after the operations that came before it. */
  run<T>(bounds: OperationBounds, work: (statements: Statements) => Promise<T>): Promise<T> {
    return this.#inTurn('query', bounds, work);
  }

  /**
   * Commits, or releases the innermost savepoint. Throws what Postgres raises at COMMIT, which then has rolled back.
   */
  commit(bounds: OperationBounds): Promise<void> {
    return this.#inTurn('commit', bounds, async (statements) => {
      const savepoint = this.#savepoints.pop();
      if (savepoint !== undefined) {
        await statements.ownCommand(`RELEASE SAVEPOINT ${savepoint}`);
        return;
      }
      // From here on the timer must not end the transaction: Postgres' answer to COMMIT decides.
      this.#timer.cancel();
      try {
        await statements.command('COMMIT');
      } catch (error) {
        await this.#rollbackSeen(bounds);
        this.#finish({ how: 'rolled_back' });
        throw error;
      }
      // Postgres answers COMMIT in a failed transaction with ROLLBACK, and no error.
      const committed = statements.lastCommandTag === 'COMMIT';
      this.#finish({ how: committed ? 'committed' : 'rolled_back' });
      if (!committed) throw transactionAborted();
    });
  }

  /** Rolls back, or rolls back to the innermost savepoint if there is one. */
  rollback(bounds: OperationBounds): Promise<void> {
    return this.#inTurn('rollback', bounds, async (statements) => {
      const savepoint = this.#savepoints.pop();
      if (savepoint !== undefined) {
        await statements.ownCommand(`ROLLBACK TO SAVEPOINT ${savepoint}`);
        await statements.ownCommand(`RELEASE SAVEPOINT ${savepoint}`);
        return;
      }
      try {
        await statements.command('ROLLBACK');
      } catch (error) {
        // The loss of the session has rolled back the transaction as well.
        if (this.#options.lease.usable) throw error;
      } finally {
        this.#finish({ how: 'rolled_back' });
      }
    });
  }

  /**
   * Ends the transaction from outside: cancels what runs, refuses what waits, rolls back, gives the connection back.
   */
  async abandon(end: TransactionEnd): Promise<void> {
    if (this.#end !== undefined) return;
    this.#note(end);
    this.#cancellation.cancel();
    await this.#last;
    this.#options.lease.release();
  }

  #inTurn<T>(
    operation: TransactionOperation,
    bounds: OperationBounds,
    work: (statements: Statements) => Promise<T>,
  ): Promise<T> {
    if (this.#waiting >= WAITING_MAX) throw new DormouseError('queue_full');
    this.#waiting++;
    const turn = this.#last.then(() => this.#take(operation, bounds, work));
    this.#last = turn.catch(() => undefined);
    return turn.finally(() => {
      this.#waiting--;
    });
  }

  async #take<T>(
    operation: TransactionOperation,
    bounds: OperationBounds,
    work: (statements: Statements) => Promise<T>,
  ): Promise<T> {
    if (this.#end !== undefined) throw transactionEnded(operation, this.#end);
    // The client does not wait any more. A commit whose client is gone must not happen by accident either.
    if (bounds.cancellation.cancelled) throw new DormouseError('interrupted');
    const cancellation = new Cancellation();
    const cancel = (): void => cancellation.cancel();
    // A commit or rollback that has begun runs to its end, whether its client still waits or not.
    const forget =
      operation === 'query' ? [bounds.cancellation.onCancel(cancel), this.#cancellation.onCancel(cancel)] : [];
    const { lease, isolationLevel } = this.#options;
    const statements = new Statements({ ...bounds, cancellation }, () => lease);
    try {
      return await this.#options.runtime.worded(async () => {
        if (!this.#begun) await statements.begin(isolationLevel);
        return work(statements);
      });
    } catch (error) {
      // The timer cancelled the statement: the client is told the reason.
      const end = this.#end as TransactionEnd | undefined;
      if (end?.how === 'timed_out') {
        await this.#rollbackSeen(bounds);
        throw transactionEnded(operation, end);
      }
      if (!lease.usable) this.#finish({ how: 'rolled_back', lost: true });
      throw error;
    } finally {
      await statements.close();
      if (lease.transactionStatus !== 'I') this.#begun = true;
      for (const take of forget) take();
    }
  }

  /**
   * Rolls back a transaction that failed or was ended by a statement that the observer sees, if the observer wants to
   * see it. Without one, giving back the lease rolls back.
   */
  async #rollbackSeen(bounds: OperationBounds): Promise<void> {
    if (bounds.observer?.whole !== true) return;
    const { lease } = this.#options;
    const statements = new Statements({ ...bounds, cancellation: new Cancellation() }, () => lease);
    // The lease is given back whether this succeeds or not.
    await statements.command('ROLLBACK').catch(() => undefined);
  }

  /** Ends the transaction from one of its own operations. */
  #finish(end: TransactionEnd): void {
    // The timer may have ended the transaction while the last statement ran.
    if (this.#end !== undefined) return;
    this.#note(end);
    this.#options.lease.release();
  }

  #note(end: TransactionEnd): void {
    assert(this.#end === undefined, 'a transaction ends once');
    this.#end = end;
    this.#timer.cancel();
    this.#options.onEnd(end);
  }
}
