import type { Call } from '../../base/index.ts';
import type { Pool } from '../../pool/index.ts';
import type { OperationBounds } from '../statements/index.ts';
import type { Transactions } from '../transactions/index.ts';
import type { SchemaAnswer } from './large-body-protocol.ts';

/** What one request with a large body needs of its database, on the main thread. */
export interface LargeBodyContext {
  readonly call: Call;
  readonly bounds: OperationBounds;
  readonly pool: Pick<Pool, 'acquire'>;
  readonly transactions: Pick<Transactions, 'run'>;
  /** The interactive transaction that the request belongs to, if it belongs to one. */
  readonly transactionId: string | undefined;
  /** The schema of a Prisma 6 query. */
  schema(): Promise<SchemaAnswer>;
  onOperation(): void;
}
