/** What an operation does to a transaction, by the names that spans have. */
export type TransactionStep = 'start_transaction' | 'commit_transaction' | 'rollback_transaction';
