import type { Call, MinimalReply, Prisma7TransactionRoute } from '../../base/index.ts';
import type { TransactionParts } from '../engine-parts.ts';
import {
  bodyText,
  type ClientLimits,
  jsonReply,
  limitsOf,
  observed,
  operation,
  operationBounds,
  PRISMA7_TELEMETRY,
  parseBody,
  type RequestContent,
  requestInvalid,
  telemetryOf,
} from '../request/index.ts';
import type { OperationBounds } from '../statements/index.ts';
import { type OptionNames, transactionOptions } from '../transactions/index.ts';
import { failureReply, telemetryMembers } from './prisma7-replies.ts';

const OPTION_NAMES: OptionNames = { timeout: 'timeout', maxWait: 'maxWait', isolationLevel: 'isolationLevel' };

/** The routes by which Prisma Client 7 starts and ends interactive transactions. */
export class Prisma7TransactionRoutes {
  readonly #parts: TransactionParts;

  constructor(parts: TransactionParts) {
    this.#parts = parts;
  }

  async handle(route: Prisma7TransactionRoute, request: RequestContent, call: Call): Promise<MinimalReply> {
    const { clock, runtime, transactions } = this.#parts;
    const limits = limitsOf(request, this.#parts.limits);
    const telemetry = telemetryOf(request, PRISMA7_TELEMETRY, this.#parts);
    const bounds = observed(operationBounds(clock, call, limits), telemetry);
    const reply = (members: object): MinimalReply =>
      jsonReply(200, { ...members, ...telemetryMembers(telemetry, request) }, limits.replyBytesMax);
    try {
      switch (route.name) {
        case 'transaction-start': {
          const start = (): Promise<string> => this.#start(request, call, limits, bounds);
          return reply({ id: await operation(telemetry, 'start_transaction', start) });
        }
        case 'transaction-commit': {
          const commit = (): Promise<void> => transactions.commit(call, route.transactionId, bounds);
          await operation(telemetry, 'commit_transaction', commit);
          return reply({});
        }
        case 'transaction-rollback': {
          const rollback = (): Promise<void> => transactions.rollback(call, route.transactionId, bounds);
          await operation(telemetry, 'rollback_transaction', rollback);
          return reply({});
        }
      }
    } catch (thrown) {
      return failureReply(thrown, request, telemetry, runtime);
    }
  }

  #start(request: RequestContent, call: Call, limits: ClientLimits, bounds: OperationBounds): Promise<string> {
    const { transactions, pool } = this.#parts;
    const body = parseBody(bodyText(request.body));
    if (body.newTxId !== undefined) {
      if (typeof body.newTxId !== 'string') throw requestInvalid('newTxId must be a string');
      return transactions.startNested(call, body.newTxId, bounds);
    }
    const options = transactionOptions(body, OPTION_NAMES, limits.transactionMs);
    return transactions.start(call, pool(call.principal.role), options, bounds);
  }
}
