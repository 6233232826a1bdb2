/** A step of a transaction, by the name of its span. */
export type TransactionStep = 'start_transaction' | 'commit_transaction' | 'rollback_transaction';
