import {
  type Call,
  type Clock,
  DormouseError,
  type Logger,
  type MinimalReply,
  type MinimalRequest,
  toDormouseError,
} from '../../base/index.ts';
import type { Compiler } from '../compiler.ts';
import type { EngineLimits } from '../engine.ts';
import type { ExecutionCounts } from '../executor/index.ts';
import type { QueryRoute } from '../routes.ts';
import { threadFile } from '../thread-file.ts';
import { HeavyJob, type HeavyJobOptions } from './heavy-job.ts';
import { HEADERS, transferable } from './heavy-protocol.ts';
import { HeavyThreads } from './heavy-threads.ts';
import type { HeavyWorld } from './heavy-world.ts';

export interface HeavyRequestsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: EngineLimits;
  readonly compiler: Pick<Compiler, 'module'>;
  /** Executions are counted with those of the main thread. */
  readonly counts: ExecutionCounts;
  /** Whether plans are compiled. */
  readonly programs: boolean;
  readonly prepareMsMax?: number | undefined;
}

/** Reading, planning and compiling one body: a createMany of 100 000 rows takes 3 s. */
const PREPARE_MS_MAX = 10_000;

/** Runs requests with large bodies in threads, so that reading, planning and answering them holds up nobody else. */
export class HeavyRequests {
  readonly #jobOptions: HeavyJobOptions;
  readonly #threads: HeavyThreads;
  #jobs = 0;

  constructor({ clock, log, limits, compiler, counts, programs, prepareMsMax = PREPARE_MS_MAX }: HeavyRequestsOptions) {
    this.#jobOptions = { counts, prepareMsMax };
    this.#threads = new HeavyThreads({
      file: threadFile('heavy-worker'),
      prepare: async () => ({ compiler: await compiler.module(), limits, programs }),
      clock,
      log,
    });
  }

  /** Serves a query of `owner`. The request's body is handed over: it is empty afterwards. */
  async handle(owner: string, route: QueryRoute, request: MinimalRequest, world: HeavyWorld): Promise<MinimalReply> {
    const headers: Record<string, string> = {};
    for (const name of HEADERS) {
      const value = request.header(name);
      if (value !== undefined) headers[name] = value;
    }
    const { requestId, principal, cancellation }: Call = world.call;
    if (cancellation.cancelled) throw new DormouseError('interrupted');
    const body = transferable(request.body);
    const sent = { route, headers, body, requestId, principal, remainingMs: 0 };
    const job = new HeavyJob(++this.#jobs, world, sent, this.#jobOptions);
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
