import type { Call, MinimalReply, Prisma7QueryRoute } from '../../base/index.ts';
import { DormouseError } from '../../base/index.ts';
import type { QueryParts } from '../engine-parts.ts';
import { checkPlan, guardedScope } from '../prisma-runtime/index.ts';
import type { ReplyFrame, WrittenReply } from '../program/index.ts';
import {
  bodyText,
  type ClientLimits,
  isObject,
  type JsonObject,
  jsonReply,
  limitsOf,
  observed,
  operationBounds,
  PRISMA7_TELEMETRY,
  parseBody,
  type RequestContent,
  requestInvalid,
  telemetryOf,
  writtenReply,
} from '../request/index.ts';
import type { Statements } from '../statements/index.ts';
import { PlansByText } from './plans-by-text.ts';
import { failureReply, telemetryMembers } from './prisma7-replies.ts';

/** The reply to a query: JSON text that a program has written, or the object that becomes JSON text. */
type Prisma7Reply = WrittenReply | { readonly data: unknown };

/** The text around the data in a reply. */
const FRAME: ReplyFrame = { before: Buffer.from('{"data":'), after: Buffer.from('}') };
/** More comment tags than any plugin writes. */
const COMMENTS_MAX = 64;

/** The routes by which Prisma Client 7 sends queries: the client compiles them by itself and sends plans. */
export class Prisma7QueryRoutes {
  readonly #parts: QueryParts;
  readonly #plansByText: PlansByText;

  constructor(parts: QueryParts) {
    this.#parts = parts;
    this.#plansByText = new PlansByText(parts.budget, parts.buildProgram);
  }

  /** Forgets all plans. */
  clear(): void {
    this.#plansByText.clear();
  }

  async handle(route: Prisma7QueryRoute, request: RequestContent, call: Call): Promise<MinimalReply> {
    const parts = this.#parts;
    const limits = limitsOf(request, parts.limits);
    const telemetry = telemetryOf(request, PRISMA7_TELEMETRY, parts);
    const bounds = observed(operationBounds(parts.clock, call, limits), telemetry);
    const { replyBytesMax } = limits;
    try {
      const inTransaction = route.name === 'transaction-query';
      const execute = this.#prepare(request, inTransaction, limits, telemetry !== undefined);
      parts.onOperation(call);
      const reply =
        route.name === 'transaction-query'
          ? await parts.inTransaction(call, route.transactionId, bounds, execute)
          : await parts.withStatements(call, bounds, execute);
      if ('body' in reply) return writtenReply(reply.body, replyBytesMax);
      if (telemetry === undefined) return jsonReply(200, reply, replyBytesMax);
      return jsonReply(200, { ...reply, ...telemetryMembers(telemetry, request) }, replyBytesMax);
    } catch (thrown) {
      return failureReply(thrown, request, telemetry, parts.runtime);
    }
  }

  /** Reads a query, and gives the function that executes it. */
  #prepare(
    request: RequestContent,
    inTransaction: boolean,
    limits: ClientLimits,
    isObserved: boolean,
  ): (statements: Statements) => Promise<Prisma7Reply> {
    const bytes = Buffer.from(request.body.buffer, request.body.byteOffset, request.body.byteLength);
    const known = this.#plansByText.find(bytes);
    const body = known ?? parseBody(bodyText(bytes));
    const plan = known?.plan ?? checkPlan(body.plan);
    const params = parameters(body.params);
    const comments = commentTags(body.comments);
    if (known === undefined) this.#plansByText.note(bytes);
    const { runtime, programExecutor, buildProgram } = this.#parts;
    // A new plan gets a program too: building takes a fraction of what the runtime takes, which holds up others as it
    // joins.
    const program = known === undefined ? buildProgram(plan) : known.program;
    // A client that asks for telemetry sees the statements as the runtime issues them: with values that are not
    // encoded.
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
}

function parameters(value: unknown): JsonObject {
  if (!isObject(value)) throw new DormouseError('plan_invalid', { message: 'The query has no params object.' });
  return value;
}

function commentTags(value: unknown): Record<string, string> | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value)) throw requestInvalid('comments must be an object');
  const tags = Object.entries(value);
  if (tags.length > COMMENTS_MAX) throw requestInvalid(`more than ${COMMENTS_MAX} comments`);
  const out: Record<string, string> = {};
  for (const [name, text] of tags) {
    if (typeof text !== 'string') throw requestInvalid('comments must be strings');
    // encodeURIComponent, which writes the tags, throws on half a surrogate pair.
    if (!name.isWellFormed() || !text.isWellFormed()) throw requestInvalid('comments must be well-formed text');
    if (name !== '__proto__') out[name] = text;
  }
  return tags.length === 0 ? undefined : out;
}
