import {
  type Call,
  type Clock,
  DormouseError,
  type KeyId,
  newTransactionId,
  parseTransactionId,
  type RandomBytes,
  type TransactionId,
} from '../../base/index.ts';
import type { Lease, Pool } from '../../pool/index.ts';
import type { PrismaRuntime } from '../prisma-runtime/index.ts';
import type { OperationBounds, StatementObserver, Statements } from '../statements/index.ts';
import { OpenTransaction } from './open-transaction.ts';
import {
  type TransactionEnd,
  type TransactionOperation,
  transactionEnded,
  transactionNotFound,
  transactionNotStarted,
} from './transaction-errors.ts';
import type { TransactionOptions } from './transaction-options.ts';

/** Ended transactions that are remembered, so that a late request is told how its transaction ended. */
const ENDED_REMEMBERED_MAX = 1000;

export interface TransactionsOptions {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly runtime: PrismaRuntime;
  readonly openMax: number;
}

/** The interactive transactions of one database. Only the key that started a transaction may use its id. */
export class Transactions {
  readonly #options: TransactionsOptions;
  readonly #open = new Map<TransactionId, OpenTransaction>();
  readonly #ended = new Map<TransactionId, { readonly keyId: KeyId; readonly end: TransactionEnd }>();
  #starting = 0;
  #closed = false;

  constructor(options: TransactionsOptions) {
    this.#options = options;
  }

  /** Transactions that are open or about to be. */
  get open(): number {
    return this.#open.size + this.#starting;
  }

  /**
   * Opens a transaction. BEGIN goes out with the first statement, or at once if there is an observer. Throws P2028 when
   * no connection came within `maxWaitMs`, and what Postgres raises at BEGIN.
   */
  async start(call: Call, pool: Pool, options: TransactionOptions, bounds: OperationBounds): Promise<TransactionId> {
    if (this.#closed) throw new DormouseError('shutting_down');
    if (this.open >= this.#options.openMax) throw new DormouseError('transactions_exhausted');
    const { clock, random, runtime } = this.#options;
    this.#starting++;
    try {
      const lease = await this.#acquire(call, pool, options.maxWaitMs, bounds.observer);
      if (this.#closed || call.cancellation.cancelled) {
        lease.release();
        // The client is gone and would never learn the id.
        throw new DormouseError(this.#closed ? 'shutting_down' : 'interrupted');
      }
      const id = newTransactionId(random);
      const { keyId } = call.principal;
      const transaction = new OpenTransaction({
        ...{ id, keyId, lease, clock, runtime, timeoutMs: options.timeoutMs },
        isolationLevel: options.isolationLevel,
        onEnd: (end) => this.#forget(id, keyId, end),
      });
      this.#open.set(id, transaction);
      if (bounds.observer !== undefined) await transaction.begin(bounds);
      return id;
    } finally {
      this.#starting--;
    }
  }

  /**
   * Opens a savepoint in a transaction that is open: a nested transaction, which the next commit or rollback closes.
   */
  async startNested(call: Call, id: string, bounds: OperationBounds): Promise<TransactionId> {
    const transaction = this.#find(call, id, 'start');
    await transaction.startNested(bounds);
    return transaction.id;
  }

  /** Runs one operation inside a transaction, after the operations that came before it. */
  run<T>(call: Call, id: string, bounds: OperationBounds, work: (statements: Statements) => Promise<T>): Promise<T> {
    return this.#find(call, id, 'query').run(bounds, work);
  }

  /**
   * Commits, or releases the innermost savepoint. Throws what Postgres raises at COMMIT, which then has rolled back.
   */
  async commit(call: Call, id: string, bounds: OperationBounds): Promise<void> {
    await this.#find(call, id, 'commit').commit(bounds);
  }

  /** Rolls back, or rolls back to the innermost savepoint if there is one. */
  async rollback(call: Call, id: string, bounds: OperationBounds): Promise<void> {
    // A client that learned of the lost connection by a query's error asks for what has happened already.
    if (this.#wasLost(call, id)) return;
    await this.#find(call, id, 'rollback').rollback(bounds);
  }

  #wasLost(call: Call, id: string): boolean {
    const parsed = parseTransactionId(id);
    const ended = parsed === undefined ? undefined : this.#ended.get(parsed);
    return ended?.keyId === call.principal.keyId && ended.end.how === 'rolled_back' && ended.end.lost === true;
  }

  /** Rolls back the open transactions and takes no more. */
  async close(): Promise<void> {
    this.#closed = true;
    const open = [...this.#open.values()];
    await Promise.all(open.map((transaction) => transaction.abandon({ how: 'rolled_back' })));
  }

  async #acquire(call: Call, pool: Pool, maxWaitMs: number, observer: StatementObserver | undefined): Promise<Lease> {
    const { timings, cancellation, principal } = call;
    const deadline = call.deadline.within(maxWaitMs);
    const acquire = (): Promise<Lease> => pool.acquire({ deadline, timings, cancellation, key: principal.keyId });
    try {
      return await (observer === undefined ? acquire() : observer.connection(acquire));
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

  #forget(id: TransactionId, keyId: KeyId, end: TransactionEnd): void {
    this.#open.delete(id);
    this.#ended.set(id, { keyId, end });
    if (this.#ended.size > ENDED_REMEMBERED_MAX) {
      const oldest = this.#ended.keys().next().value;
      if (oldest !== undefined) this.#ended.delete(oldest);
    }
  }
}
