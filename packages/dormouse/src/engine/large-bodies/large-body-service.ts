import {
  assert,
  type Call,
  Cancellation,
  cryptoRandom,
  Deadline,
  type MinimalReply,
  type RequestId,
  systemClock,
  Timings,
} from '../../base/index.ts';
import { MemoryBudget } from '../memory-budget.ts';
import { PrismaRuntime } from '../prisma-runtime/index.ts';
import type { Prisma6QueryParts } from '../prisma6/index.ts';
import { PlansByShape, Prisma6QueryRoutes, QueryPlanner } from '../prisma6/index.ts';
import { Prisma7QueryRoutes } from '../prisma7/index.ts';
import { buildProgram, neverBuilt, ProgramExecutor } from '../program/index.ts';
import type { RequestContent } from '../request/index.ts';
import { withStatements } from '../statements/index.ts';
import { HeldSchemas } from './held-schemas.ts';
import {
  type FromThread,
  type LargeBodyRequest,
  type LargeBodyThreadData,
  type Outcome,
  type ToThread,
  transferable,
} from './large-body-protocol.ts';
import { packError } from './packed-errors.ts';
import { RemoteSessions } from './remote-sessions.ts';
import { ThreadCompiler } from './thread-compiler.ts';

/**
 * The memory that one thread may take for plans, for the databases that it serves. It is freed when the thread ends.
 */
const KEPT_BYTES_MAX = 32 * 2 ** 20;

type Post = (message: FromThread, transfer: ArrayBuffer[]) => void;

/** One request that the thread works on. */
interface Job {
  readonly sessions: RemoteSessions;
  readonly cancellation: Cancellation;
}

/**
 * The work of a thread: the query routes of both protocols, over connections that the main thread holds. The thread
 * reads the body, plans, compiles, binds and writes the reply; the main thread passes on statements and rows.
 */
export class LargeBodyService {
  readonly #post: Post;
  readonly #compiler: ThreadCompiler;
  readonly #programExecutor: ProgramExecutor;
  readonly #schemas = new HeldSchemas();
  readonly #prisma6: Prisma6QueryRoutes;
  readonly #prisma7: Prisma7QueryRoutes;
  readonly #jobs = new Map<number, Job>();
  readonly #jobOf = new WeakMap<Call, Job>();

  constructor({ compiler, limits, programs }: LargeBodyThreadData, post: Post) {
    this.#post = post;
    this.#compiler = new ThreadCompiler(compiler);
    const clock = systemClock;
    const runtime = new PrismaRuntime();
    const budget = new MemoryBudget(KEPT_BYTES_MAX);
    this.#programExecutor = new ProgramExecutor(runtime, clock);
    const sessionsOf = (call: Call): RemoteSessions => {
      const job = this.#jobOf.get(call);
      assert(job !== undefined, 'every call in a thread belongs to a job');
      return job.sessions;
    };
    const parts: Prisma6QueryParts = {
      clock,
      random: cryptoRandom,
      limits,
      runtime,
      programExecutor: this.#programExecutor,
      buildProgram: programs ? buildProgram : neverBuilt,
      planner: new QueryPlanner({
        clock,
        budget,
        owner: '',
        compiler: this.#compiler,
        plansByShape: new PlansByShape(budget),
      }),
      budget,
      schemas: this.#schemas,
      withStatements: (call, bounds, work) => runtime.worded(() => withStatements(sessionsOf(call), bounds, work)),
      inTransaction: (call, _id, bounds, work) => sessionsOf(call).inTransaction(bounds, work),
      onOperation: (call) => sessionsOf(call).counted(),
    };
    this.#prisma6 = new Prisma6QueryRoutes(parts);
    this.#prisma7 = new Prisma7QueryRoutes(parts);
  }

  take(message: ToThread): void {
    const job = this.#jobs.get(message.job);
    switch (message.to) {
      case 'begin':
        void this.#serve(message.job, message.request);
        return;
      case 'cancel':
        job?.cancellation.cancel();
        return;
      default:
        job?.sessions.take(message);
    }
  }

  async #serve(id: number, request: LargeBodyRequest): Promise<void> {
    this.#post({ from: 'begun', job: id }, []);
    const job: Job = {
      sessions: new RemoteSessions(id, (message) => this.#post(message, [])),
      cancellation: new Cancellation(),
    };
    this.#jobs.set(id, job);
    const timings = new Timings();
    let outcome: Outcome;
    try {
      const { status, headers, body } = await this.#handle(job, request, timings);
      outcome = { reply: { status, headers, body: transferable(typeof body === 'string' ? Buffer.from(body) : body) } };
    } catch (error) {
      outcome = { error: packError(error) };
    }
    this.#jobs.delete(id);
    const executions = this.#programExecutor.takeCounts();
    this.#post(
      {
        from: 'done',
        job: id,
        outcome,
        compileMs: timings.get('compile'),
        sqlMs: timings.get('sql'),
        executions,
        memoryBytes: this.#compiler.memoryBytes,
        broken: this.#compiler.broken,
      },
      'reply' in outcome ? [outcome.reply.body.buffer as ArrayBuffer] : [],
    );
  }

  async #handle(job: Job, request: LargeBodyRequest, timings: Timings): Promise<MinimalReply> {
    const { route, headers, body, requestId, principal, remainingMs } = request;
    const call: Call = {
      requestId: requestId as RequestId,
      route,
      principal,
      timings,
      deadline: Deadline.in(systemClock, remainingMs),
      cancellation: job.cancellation,
    };
    this.#jobOf.set(call, job);
    const content: RequestContent = { header: (name) => headers[name], body };
    if (route.protocol === 'prisma7') return this.#prisma7.handle(route, content, call);
    await this.#schemas.hold(route.schemaHash, () => job.sessions.schema());
    return this.#prisma6.handle(route, content, call);
  }
}
