import {
  type Call,
  type Clock,
  DormouseError,
  ENGINE_HEADERS,
  type EngineHeader,
  type Logger,
  type MinimalReply,
  type QueryRoute,
  toDormouseError,
} from '../../base/index.ts';
import { threadFile } from '../../threads/index.ts';
import type { Compiler } from '../compiler/index.ts';
import type { EngineLimits } from '../engine.ts';
import type { ExecutionCounts } from '../program/index.ts';
import type { RequestContent } from '../request/index.ts';
import type { LargeBodyContext } from './large-body-context.ts';
import { LargeBodyJob, type LargeBodyJobOptions } from './large-body-job.ts';
import { transferable } from './large-body-protocol.ts';
import { LargeBodyThreads } from './large-body-threads.ts';

export interface LargeBodyRequestsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: EngineLimits;
  readonly compiler: Pick<Compiler, 'module'>;
  /** The counts of the main thread, to which the executions of the threads are added. */
  readonly counts: ExecutionCounts;
  /** Whether programs are built; if not, Prisma's runtime runs every plan. */
  readonly programs: boolean;
  readonly prepareMsMax?: number | undefined;
}

/** The longest that reading, planning and compiling one body may take: a createMany of 100 000 rows takes 3 s. */
const PREPARE_MS_MAX = 10_000;

/**
 * Runs requests with large bodies in threads, so that reading, planning and answering them holds up no other request.
 */
export class LargeBodyRequests {
  readonly #jobOptions: LargeBodyJobOptions;
  readonly #threads: LargeBodyThreads;
  #jobs = 0;

  constructor({
    clock,
    log,
    limits,
    compiler,
    counts,
    programs,
    prepareMsMax = PREPARE_MS_MAX,
  }: LargeBodyRequestsOptions) {
    this.#jobOptions = { counts, prepareMsMax };
    this.#threads = new LargeBodyThreads({
      file: threadFile('large-body-worker', import.meta.url),
      prepare: async () => ({ compiler: await compiler.module(), limits, programs }),
      clock,
      log,
    });
  }

  /** Serves a query of the database `owner`. The request's body is transferred: it is empty afterwards. */
  async handle(
    owner: string,
    route: QueryRoute,
    request: RequestContent,
    context: LargeBodyContext,
  ): Promise<MinimalReply> {
    const headers: { [Name in EngineHeader]?: string } = {};
    for (const name of ENGINE_HEADERS) {
      const value = request.header(name);
      if (value !== undefined) headers[name] = value;
    }
    const { requestId, principal, cancellation }: Call = context.call;
    if (cancellation.cancelled) throw new DormouseError('interrupted');
    const body = transferable(request.body);
    const sent = { route, headers, body, requestId, principal, remainingMs: 0 };
    const job = new LargeBodyJob(++this.#jobs, context, sent, this.#jobOptions);
    try {
      this.#threads.submit(owner, job);
    } catch (error) {
      job.lost(toDormouseError(error));
    }
    return job.reply;
  }

  close(): Promise<void> {
    return this.#threads.close();
  }
}
