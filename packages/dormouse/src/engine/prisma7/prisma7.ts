import { UserFacingError } from '@prisma/client-engine-runtime';
import { type Call, DormouseError, type MinimalReply, type MinimalRequest } from '../../base/index.ts';
import type { EngineParts } from '../engine-parts.ts';
import { CONNECTION_INFO, checkPlan, clientError, guardedScope } from '../prisma-runtime/index.ts';
import { type ReplyFrame, WrittenReply } from '../program/index.ts';
import type { Prisma7Route } from '../request/index.ts';
import {
  bodyText,
  type ClientLimits,
  isObject,
  type JsonObject,
  jsonReply,
  limitsOf,
  observed,
  operation,
  PRISMA7_TELEMETRY,
  parseBody,
  prisma7ErrorReply,
  prisma7FailureReply,
  prisma7MinorOf,
  type Telemetry,
  telemetryOf,
  writtenReply,
} from '../request/index.ts';
import type { OperationBounds, Statements } from '../statements/index.ts';
import { isolationLevel } from '../statements/index.ts';
import { PlansByText } from './plans-by-text.ts';
import { errorOfVersion } from './prisma7-errors.ts';

/** What Prisma's own client defaults to. */
const TRANSACTION_TIMEOUT_MS = 5000;
const TRANSACTION_MAX_WAIT_MS = 2000;
/** What stands around the data in a reply. */
const FRAME: ReplyFrame = { before: Buffer.from('{"data":'), after: Buffer.from('}') };
/** More comment tags than any plugin writes. */
const COMMENTS_MAX = 64;

/** The routes that Prisma Client 7 calls: it compiles by itself and sends plans. */
export class Prisma7Routes {
  readonly #parts: EngineParts;
  readonly #plansByText: PlansByText;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.#plansByText = new PlansByText(parts.budget, parts.buildProgram);
  }

  /** Forgets all plans. */
  clear(): void {
    this.#plansByText.clear();
  }

  async handle(route: Prisma7Route, request: MinimalRequest, call: Call): Promise<MinimalReply> {
    if (route.to === 'connection-info') {
      return jsonReply(200, { provider: 'postgres', connectionInfo: CONNECTION_INFO });
    }
    const parts = this.#parts;
    const limits = limitsOf(request, parts.limits);
    const telemetry = telemetryOf(request, PRISMA7_TELEMETRY, parts);
    const bounds = observed(parts.bounds(call, limits), telemetry);
    const { withStatements, transactions, onOperation } = parts;
    try {
      let reply: object;
      switch (route.to) {
        case 'query': {
          const execute = this.#prepare(request, false, limits, telemetry !== undefined);
          onOperation(call, 1);
          reply = await withStatements(call, bounds, execute);
          break;
        }
        case 'transaction-query': {
          const execute = this.#prepare(request, true, limits, telemetry !== undefined);
          onOperation(call, 1);
          reply = await transactions.run(call, route.transactionId, bounds, execute);
          break;
        }
        case 'transaction-start':
          reply = {
            id: await operation(telemetry, 'start_transaction', () => this.#start(request, call, limits, bounds)),
          };
          break;
        case 'transaction-commit':
          await operation(telemetry, 'commit_transaction', () =>
            transactions.commit(call, route.transactionId, bounds),
          );
          reply = {};
          break;
        case 'transaction-rollback':
          await operation(telemetry, 'rollback_transaction', () =>
            transactions.rollback(call, route.transactionId, bounds),
          );
          reply = {};
          break;
      }
      if (reply instanceof WrittenReply) return writtenReply(reply.body, limits.replyBytesMax);
      return jsonReply(
        200,
        telemetry === undefined ? reply : { ...reply, extensions: extensionsOf(telemetry, request) },
        limits.replyBytesMax,
      );
    } catch (thrown) {
      const error = clientError(thrown, 'plan_invalid');
      if (error instanceof DormouseError) throw error;
      const told = await errorOfVersion(error, prisma7MinorOf(request), parts.runtime);
      const extensions = telemetry === undefined ? undefined : extensionsOf(telemetry, request);
      return told instanceof UserFacingError
        ? prisma7ErrorReply(told, extensions)
        : prisma7FailureReply(told.message, extensions);
    }
  }

  /** Reads a query. What it gives executes it and gives the reply, as an object or already written. */
  #prepare(
    request: MinimalRequest,
    inTransaction: boolean,
    limits: ClientLimits,
    isObserved: boolean,
  ): (statements: Statements) => Promise<object> {
    const bytes = Buffer.from(request.body.buffer, request.body.byteOffset, request.body.byteLength);
    const known = this.#plansByText.find(bytes);
    const body = known ?? parseBody(bodyText(bytes));
    const plan = known?.plan ?? checkPlan(body.plan);
    const params = parameters(body.params);
    const comments = commentTags(body.comments);
    if (known === undefined) this.#plansByText.note(bytes);
    const { runtime, programExecutor, buildProgram } = this.#parts;
    // Compiled at first sight too: it takes a fraction of what the runtime would, which holds up others while it joins.
    const program = known === undefined ? buildProgram(plan) : known.program;
    // What a client sees of its statements is what the runtime's are: their values not encoded yet.
    if (program?.accepts(params) && !isObserved) {
      const bytesMax = limits.replyBytesMax;
      return (statements) =>
        programExecutor.execute(program, params, statements, { inTransaction, comments, frame: FRAME, bytesMax });
    }
    const scope = guardedScope(plan, params);
    return async (statements) => {
      const data = await runtime.execute(plan, scope, statements, { inTransaction, comments });
      return { data: data ?? null };
    };
  }

  #start(request: MinimalRequest, call: Call, limits: ClientLimits, bounds: OperationBounds): Promise<string> {
    const { transactions, pool } = this.#parts;
    const body = parseBody(bodyText(request.body));
    if (body.newTxId !== undefined) {
      if (typeof body.newTxId !== 'string') invalid('newTxId must be a string');
      return transactions.startNested(call, body.newTxId, bounds);
    }
    const start = {
      timeoutMs: Math.min(milliseconds(body.timeout, 'timeout', TRANSACTION_TIMEOUT_MS), limits.transactionMs),
      maxWaitMs: milliseconds(body.maxWait, 'maxWait', TRANSACTION_MAX_WAIT_MS),
      isolationLevel: isolationLevel(body.isolationLevel),
    };
    return transactions.start(call, pool(call.principal.role), start, bounds);
  }
}

/** The `extensions` of a reply: clients before 7.2 look for the spans under another name. */
function extensionsOf(telemetry: Telemetry, request: MinimalRequest): object {
  const extensions = telemetry.extensions();
  return prisma7MinorOf(request) < 2 && 'spans' in extensions
    ? { ...extensions, traces: extensions.spans }
    : extensions;
}

function invalid(message: string): never {
  throw new DormouseError('request_invalid', { message: `The request cannot be understood: ${message}.` });
}

function parameters(value: unknown): JsonObject {
  if (!isObject(value)) throw new DormouseError('plan_invalid', { message: 'The query has no params object.' });
  return value;
}

function commentTags(value: unknown): Record<string, string> | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value)) invalid('comments must be an object');
  const tags = Object.entries(value);
  if (tags.length > COMMENTS_MAX) invalid(`more than ${COMMENTS_MAX} comments`);
  const out: Record<string, string> = {};
  for (const [name, text] of tags) {
    if (typeof text !== 'string') invalid('comments must be strings');
    // encodeURIComponent, which writes them, throws on half a surrogate pair.
    if (!name.isWellFormed() || !text.isWellFormed()) invalid('comments must be well-formed text');
    if (name !== '__proto__') out[name] = text;
  }
  return tags.length === 0 ? undefined : out;
}

/** A duration of a transaction's options: a positive number of milliseconds, or absent. */
export function milliseconds(value: unknown, name: string, fallback: number): number {
  if (value === undefined || value === null) return fallback;
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) invalid(`${name} must be a positive number`);
  return value;
}
