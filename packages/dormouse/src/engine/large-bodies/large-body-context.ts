import type { Call } from '../../base/index.ts';
import type { Pool } from '../../pool/index.ts';
import type { OperationBounds } from '../statements/index.ts';
import type { Transactions } from '../transactions/index.ts';
import type { SchemaAnswer } from './large-body-protocol.ts';

/** What one request with a large body needs of its database. */
export interface LargeBodyContext {
  readonly call: Call;
  readonly bounds: OperationBounds;
  readonly pool: Pick<Pool, 'acquire'>;
  readonly transactions: Pick<Transactions, 'run'>;
  /** Of the interactive transaction that it belongs to. */
  readonly transactionId: string | undefined;
  schema(): Promise<SchemaAnswer>;
  onOperation(): void;
}
