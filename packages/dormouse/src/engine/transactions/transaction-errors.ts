import { TransactionManagerError } from '@prisma/client-engine-runtime';

/** An operation on an interactive transaction. */
export type TransactionOperation = 'query' | 'commit' | 'rollback' | 'start';

/** How an interactive transaction ended. */
export type TransactionEnd =
  | { readonly how: 'committed' }
  /** `lost`: its connection ended, and the client may not know that. */
  | { readonly how: 'rolled_back'; readonly lost?: true }
  | { readonly how: 'timed_out'; readonly timeoutMs: number; readonly takenMs: number };

/** P2028 for an id that is not known (any more), or belongs to another database or API key. */
export function transactionNotFound(): TransactionManagerError {
  return new TransactionManagerError(
    "Transaction not found. Transaction ID is invalid, refers to an old closed transaction Prisma doesn't have information about anymore, or was obtained before disconnecting.",
  );
}

/** P2028 for a transaction that got no connection within its `maxWait`. */
export function transactionNotStarted(): TransactionManagerError {
  return new TransactionManagerError('Unable to start a transaction in the given time.');
}

/** P2028 for an operation on a transaction that has ended. */
export function transactionEnded(operation: TransactionOperation, end: TransactionEnd): TransactionManagerError {
  const prefix = `Transaction already closed: A ${operation} cannot be executed on`;
  switch (end.how) {
    case 'committed':
      return new TransactionManagerError(`${prefix} a committed transaction.`);
    case 'rolled_back':
      return new TransactionManagerError(`${prefix} a transaction that was rolled back.`);
    case 'timed_out': {
      const taken = Math.round(end.takenMs);
      return new TransactionManagerError(
        `A ${operation} cannot be executed on an expired transaction. The timeout for this transaction was ${end.timeoutMs} ms, however ${taken} ms passed since the start of the transaction. Consider increasing the interactive transaction timeout or doing less work in the transaction.`,
        { operation, timeout: end.timeoutMs, timeTaken: taken },
      );
    }
  }
}

/** P2028 for a commit that Postgres answered with a rollback, because an earlier statement had failed. */
export function transactionAborted(): TransactionManagerError {
  return new TransactionManagerError(
    'The transaction was rolled back by the database, because a statement in it had failed: nothing was committed.',
  );
}
