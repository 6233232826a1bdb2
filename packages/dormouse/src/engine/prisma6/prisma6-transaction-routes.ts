import { type Call, DormouseError, type MinimalReply, type Prisma6TransactionRoute } from '../../base/index.ts';
import type { TransactionParts } from '../engine-parts.ts';
import { clientError } from '../prisma-runtime/index.ts';
import {
  bodyText,
  jsonReply,
  limitsOf,
  observed,
  operation,
  operationBounds,
  PRISMA6_TELEMETRY,
  parseBody,
  type RequestContent,
  telemetryOf,
} from '../request/index.ts';
import { type OptionNames, transactionOptions } from '../transactions/index.ts';
import { prisma6Error } from './prisma6-errors.ts';
import { telemetryMembers } from './prisma6-replies.ts';

const OPTION_NAMES: OptionNames = { timeout: 'timeout', maxWait: 'max_wait', isolationLevel: 'isolation_level' };

export interface Prisma6TransactionParts extends TransactionParts {
  /** The base URL by which clients reach the platform, for the address of an open transaction. */
  readonly publicUrl: string;
}

/** The routes by which Prisma Client 6 starts and ends interactive transactions. */
export class Prisma6TransactionRoutes {
  readonly #parts: Prisma6TransactionParts;

  constructor(parts: Prisma6TransactionParts) {
    this.#parts = parts;
  }

  async handle(route: Prisma6TransactionRoute, request: RequestContent, call: Call): Promise<MinimalReply> {
    const { clock, transactions, pool, publicUrl } = this.#parts;
    const limits = limitsOf(request, this.#parts.limits);
    const telemetry = telemetryOf(request, PRISMA6_TELEMETRY, this.#parts);
    const bounds = observed(operationBounds(clock, call, limits), telemetry);
    const reply = (status: number, members: object): MinimalReply =>
      jsonReply(status, { ...members, ...telemetryMembers(telemetry) });
    try {
      switch (route.name) {
        case 'transaction-start': {
          const options = transactionOptions(parseBody(bodyText(request.body)), OPTION_NAMES, limits.transactionMs);
          const id = await operation(telemetry, 'start_transaction', () =>
            transactions.start(call, pool(call.principal.role), options, bounds),
          );
          const endpoint = `${publicUrl.replace(/\/+$/, '')}/${route.version}/${route.schemaHash}/itx/${id}`;
          return reply(200, { id, 'data-proxy': { endpoint } });
        }
        case 'transaction-commit': {
          const commit = (): Promise<void> => transactions.commit(call, route.transactionId, bounds);
          await operation(telemetry, 'commit_transaction', commit);
          return reply(200, {});
        }
        case 'transaction-rollback': {
          const rollback = (): Promise<void> => transactions.rollback(call, route.transactionId, bounds);
          await operation(telemetry, 'rollback_transaction', rollback);
          return reply(200, {});
        }
      }
    } catch (thrown) {
      const error = clientError(thrown, 'internal');
      if (error instanceof DormouseError) throw error;
      // In replies to requests that are no queries, the client knows this form of an error only.
      const { message, meta } = prisma6Error(error, undefined).user_facing_error;
      const status = error.code === 'P2028' ? 409 : 400;
      return reply(status, { is_panic: false, message, meta, error_code: error.code });
    }
  }
}
