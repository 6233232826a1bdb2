import { isDriverAdapterError } from '@prisma/driver-adapter-utils';
import {
  assert,
  type Call,
  Cancellation,
  type Clock,
  DormouseError,
  type KeyId,
  newTransactionId,
  parseTransactionId,
  type RandomBytes,
  type Timer,
  type TransactionId,
} from '../base/index.ts';
import type { Lease, Pool } from '../pool/index.ts';
import type { PlanExecutor } from './plan-execution.ts';
import { type OperationBounds, Statements } from './statements.ts';
import {
  type TransactionEnd,
  type TransactionOperation,
  transactionAborted,
  transactionEnded,
  transactionNotFound,
  transactionNotStarted,
} from './transaction-errors.ts';

/** Isolation levels of Postgres, as SQL. */
export type IsolationLevel = 'READ UNCOMMITTED' | 'READ COMMITTED' | 'REPEATABLE READ' | 'SERIALIZABLE';

export interface TransactionStart {
  /** How long it may live. */
  readonly timeoutMs: number;
  /** How long to wait for a connection. */
  readonly maxWaitMs: number;
  readonly isolationLevel?: IsolationLevel | undefined;
}

/** Ends remembered, so that a late request hears what became of its transaction. */
const ENDED_REMEMBERED_MAX = 1000;
/** Requests that may wait for their turn in one transaction: a client that fires thousands at once is told to slow down. */
const WAITING_MAX = 4096;
/** Nested transactions (savepoints) in one transaction. */
const DEPTH_MAX = 64;

interface OpenTransaction {
  readonly id: TransactionId;
  readonly keyId: KeyId;
  readonly lease: Lease;
  /** Goes out with its first statement, which saves the way to the server and back. */
  readonly begin: string;
  begun: boolean;
  readonly timeoutMs: number;
  readonly startedMs: number;
  /** Fires when the transaction expires or the database closes: ends the statement that runs. */
  readonly cancellation: Cancellation;
  timer: Timer | undefined;
  /** Set once it has ended; its lease is given back by then or soon after. */
  end: TransactionEnd | undefined;
  /** The last operation's end, successful or not: operations run one at a time, in order. */
  last: Promise<unknown>;
  waiting: number;
  /** Names of open savepoints, the innermost last. */
  savepoints: string[];
  savepointsMade: number;
}

export interface TransactionsOptions {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly executor: PlanExecutor;
  readonly openMax: number;
}

/**
 * The interactive transactions of one database. An id is good only for the key that started it. Each ends by commit,
 * by rollback, or by its timer, and gives its connection back whichever it is.
 */
export class Transactions {
  readonly #options: TransactionsOptions;
  readonly #open = new Map<TransactionId, OpenTransaction>();
  readonly #ended = new Map<TransactionId, { readonly keyId: KeyId; readonly end: TransactionEnd }>();
  #starting = 0;
  #closed = false;

  constructor(options: TransactionsOptions) {
    this.#options = options;
  }

  /** Open now, those that start included. */
  get open(): number {
    return this.#open.size + this.#starting;
  }

  /** Opens a transaction; throws P2028 when no connection came within `maxWaitMs`. */
  async start(call: Call, pool: Pool, start: TransactionStart): Promise<TransactionId> {
    if (this.#closed) throw new DormouseError('shutting_down');
    if (this.open >= this.#options.openMax) throw new DormouseError('transactions_exhausted');
    const { clock, random } = this.#options;
    this.#starting++;
    try {
      const lease = await this.#acquire(call, pool, start.maxWaitMs);
      if (this.#closed || call.cancellation.cancelled) {
        lease.release();
        // Nobody would hear its id.
        throw new DormouseError(this.#closed ? 'shutting_down' : 'interrupted');
      }
      const level = start.isolationLevel;
      const transaction: OpenTransaction = {
        id: newTransactionId(random),
        keyId: call.principal.keyId,
        lease,
        begin: level === undefined ? 'BEGIN' : `BEGIN ISOLATION LEVEL ${level}`,
        begun: false,
        timeoutMs: start.timeoutMs,
        startedMs: clock.monotonic(),
        cancellation: new Cancellation(),
        timer: undefined,
        end: undefined,
        last: Promise.resolve(),
        waiting: 0,
        savepoints: [],
        savepointsMade: 0,
      };
      transaction.timer = clock.after(start.timeoutMs, () => this.#expire(transaction));
      this.#open.set(transaction.id, transaction);
      return transaction.id;
    } finally {
      this.#starting--;
    }
  }

  /** Opens a savepoint in a transaction that is open: a nested transaction, which the next commit or rollback closes. */
  async startNested(call: Call, id: string, bounds: OperationBounds): Promise<TransactionId> {
    const transaction = this.#find(call, id, 'start');
    await this.#inTurn(transaction, 'start', bounds, async (statements) => {
      if (transaction.savepoints.length >= DEPTH_MAX) throw new DormouseError('transactions_exhausted');
      const name = `dormouse_${transaction.savepointsMade++}`;
      await this.#command(statements, `SAVEPOINT ${name}`);
      transaction.savepoints.push(name);
    });
    return transaction.id;
  }

  /** Runs one operation inside a transaction, after those that came before it. */
  run<T>(call: Call, id: string, bounds: OperationBounds, work: (statements: Statements) => Promise<T>): Promise<T> {
    return this.#inTurn(this.#find(call, id, 'query'), 'query', bounds, work);
  }

  /** Commits (or releases the innermost savepoint). Throws what Postgres raises at commit; it is rolled back then. */
  async commit(call: Call, id: string, bounds: OperationBounds): Promise<void> {
    const transaction = this.#find(call, id, 'commit');
    await this.#inTurn(transaction, 'commit', bounds, async (statements) => {
      const savepoint = transaction.savepoints.pop();
      if (savepoint !== undefined) {
        await this.#command(statements, `RELEASE SAVEPOINT ${savepoint}`);
        return;
      }
      // From here on the timer must not end it: what Postgres says counts.
      transaction.timer?.cancel();
      try {
        await this.#command(statements, 'COMMIT');
      } catch (error) {
        this.#finish(transaction, { how: 'rolled_back' });
        throw error;
      }
      // Postgres answers COMMIT in a failed transaction with ROLLBACK, and no error.
      const committed = statements.lastCommandTag === 'COMMIT';
      this.#finish(transaction, { how: committed ? 'committed' : 'rolled_back' });
      if (!committed) throw transactionAborted();
    });
  }

  /** Rolls back (to the innermost savepoint, if there is one). */
  async rollback(call: Call, id: string, bounds: OperationBounds): Promise<void> {
    const transaction = this.#find(call, id, 'rollback');
    await this.#inTurn(transaction, 'rollback', bounds, async (statements) => {
      const savepoint = transaction.savepoints.pop();
      if (savepoint !== undefined) {
        await this.#command(statements, `ROLLBACK TO SAVEPOINT ${savepoint}`);
        await this.#command(statements, `RELEASE SAVEPOINT ${savepoint}`);
        return;
      }
      try {
        await this.#command(statements, 'ROLLBACK');
      } finally {
        this.#finish(transaction, { how: 'rolled_back' });
      }
    });
  }

  /** Rolls back all that is open and takes no more. */
  async close(): Promise<void> {
    this.#closed = true;
    const open = [...this.#open.values()];
    await Promise.all(open.map((transaction) => this.#abandon(transaction, { how: 'rolled_back' })));
  }

  async #acquire(call: Call, pool: Pool, maxWaitMs: number): Promise<Lease> {
    const { timings, cancellation, principal } = call;
    const deadline = call.deadline.within(maxWaitMs);
    try {
      return await pool.acquire({ deadline, timings, cancellation, key: principal.keyId });
    } catch (error) {
      if (error instanceof DormouseError && error.code === 'connection_timeout') throw transactionNotStarted();
      throw error;
    }
  }

  #find(call: Call, id: string, operation: TransactionOperation): OpenTransaction {
    const parsed = parseTransactionId(id);
    if (parsed === undefined) throw transactionNotFound();
    const { keyId } = call.principal;
    const transaction = this.#open.get(parsed);
    if (transaction !== undefined && transaction.keyId === keyId) return transaction;
    const ended = this.#ended.get(parsed);
    if (ended !== undefined && ended.keyId === keyId) throw transactionEnded(operation, ended.end);
    throw transactionNotFound();
  }

  #inTurn<T>(
    transaction: OpenTransaction,
    operation: TransactionOperation,
    bounds: OperationBounds,
    work: (statements: Statements) => Promise<T>,
  ): Promise<T> {
    if (transaction.waiting >= WAITING_MAX) throw new DormouseError('queue_full');
    transaction.waiting++;
    const turn = transaction.last.then(() => this.#take(transaction, operation, bounds, work));
    transaction.last = turn.catch(() => undefined);
    return turn.finally(() => {
      transaction.waiting--;
    });
  }

  async #take<T>(
    transaction: OpenTransaction,
    operation: TransactionOperation,
    bounds: OperationBounds,
    work: (statements: Statements) => Promise<T>,
  ): Promise<T> {
    if (transaction.end !== undefined) throw transactionEnded(operation, transaction.end);
    // Nobody waits for it any more; a commit whose client is gone must not happen by accident either.
    if (bounds.cancellation.cancelled) throw new DormouseError('interrupted');
    const cancellation = new Cancellation();
    const cancel = (): void => cancellation.cancel();
    // A commit or rollback that has begun runs to its end, whoever still listens.
    const forget =
      operation === 'query' ? [bounds.cancellation.onCancel(cancel), transaction.cancellation.onCancel(cancel)] : [];
    const { lease } = transaction;
    const statements = new Statements({ ...bounds, cancellation }, () => lease);
    if (!transaction.begun) statements.begin(transaction.begin);
    try {
      return await work(statements);
    } catch (error) {
      // The timer cancelled the statement: the client hears why.
      const end = transaction.end as TransactionEnd | undefined;
      if (end?.how === 'timed_out') throw transactionEnded(operation, end);
      if (connectionLost(error)) this.#finish(transaction, { how: 'rolled_back' });
      throw error;
    } finally {
      await statements.close();
      if (lease.transactionStatus !== 'I') transaction.begun = true;
      for (const take of forget) take();
    }
  }

  #expire(transaction: OpenTransaction): void {
    const { timeoutMs, startedMs } = transaction;
    const takenMs = this.#options.clock.monotonic() - startedMs;
    void this.#abandon(transaction, { how: 'timed_out', timeoutMs, takenMs });
  }

  /** Ends a transaction from outside: what runs is cancelled, what waits is refused, the connection is rolled back. */
  async #abandon(transaction: OpenTransaction, end: TransactionEnd): Promise<void> {
    if (transaction.end !== undefined) return;
    this.#note(transaction, end);
    transaction.cancellation.cancel();
    await transaction.last;
    transaction.lease.release();
  }

  /** Ends a transaction in its own turn. */
  #finish(transaction: OpenTransaction, end: TransactionEnd): void {
    // The timer may have come first, while the last statement ran.
    if (transaction.end !== undefined) return;
    this.#note(transaction, end);
    transaction.lease.release();
  }

  #note(transaction: OpenTransaction, end: TransactionEnd): void {
    assert(transaction.end === undefined, 'a transaction ends once');
    transaction.end = end;
    transaction.timer?.cancel();
    this.#open.delete(transaction.id);
    this.#ended.set(transaction.id, { keyId: transaction.keyId, end });
    if (this.#ended.size > ENDED_REMEMBERED_MAX) {
      const oldest = this.#ended.keys().next().value;
      if (oldest !== undefined) this.#ended.delete(oldest);
    }
  }

  /** Runs a statement of our own; what Postgres raises becomes the error that it would in any plan. */
  async #command(statements: Statements, sql: string): Promise<void> {
    try {
      await statements.command(sql);
    } catch (error) {
      if (isDriverAdapterError(error)) await this.#options.executor.raise(error);
      throw error;
    }
  }
}

function connectionLost(error: unknown): boolean {
  return error instanceof DormouseError && (error.code === 'database_crashed' || error.code === 'database_stopped');
}
