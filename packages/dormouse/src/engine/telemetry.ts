import { type QueryEvent, safeJsonStringify } from '@prisma/client-engine-runtime';
import type { Clock, RandomBytes } from '../base/index.ts';
import type { ExecutionObserver } from './plan-execution.ts';

/** Seconds and nanoseconds since 1970 UTC, as OpenTelemetry and Prisma's clients write instants. */
type HrTime = readonly [seconds: number, nanoseconds: number];

interface ReplyLog {
  readonly level: 'query';
  readonly spanId: string;
  readonly target?: string;
  readonly timestamp: HrTime;
  readonly message: string;
  readonly attributes: {
    readonly query: string;
    readonly params: string;
    readonly duration_ms: number;
    readonly message: string;
  };
}

interface ReplySpan {
  readonly id: string;
  readonly parentId: null;
  readonly name: string;
  readonly kind: 'internal' | 'client';
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly attributes?: unknown;
}

/** What the client wants to hear of its operation, from its header `x-capture-telemetry`. */
export interface TelemetryWish {
  readonly queries: boolean;
  readonly spans: boolean;
}

/** Logs and spans a reply may carry: a plan of more statements than this is cut off, not its client. */
const ENTRIES_MAX = 1000;
/** Longest text of parameters in a log entry. */
const PARAMS_LENGTH_MAX = 10_000;
const SPAN_KIND_CLIENT = 2;

/** Reads `x-capture-telemetry`: levels and the word `tracing`, comma-joined. Levels that we have nothing for are let be. */
export function parseTelemetryWish(header: string | undefined): TelemetryWish | undefined {
  if (header === undefined) return undefined;
  const words = header.split(',').map((word) => word.trim());
  const wish = { queries: words.includes('query'), spans: words.includes('tracing') };
  return wish.queries || wish.spans ? wish : undefined;
}

/** What the extensions of a reply are called in each protocol. */
export interface TelemetryDialect {
  /** Family of span names that the client's version knows. */
  readonly spanPrefix: string;
  readonly spansName: 'spans' | 'traces';
  /** `target` of query events; absent where the client has its own. */
  readonly target?: string;
}

export const PRISMA6_TELEMETRY: TelemetryDialect = {
  spanPrefix: 'prisma:engine:',
  spansName: 'traces',
  target: 'quaint::connector::metrics',
};
export const PRISMA7_TELEMETRY: TelemetryDialect = { spanPrefix: 'prisma:accelerate:', spansName: 'spans' };

/** Gathers the queries and spans of one operation for its reply. */
export class Telemetry implements ExecutionObserver {
  readonly #wish: TelemetryWish;
  readonly #dialect: TelemetryDialect;
  readonly #random: RandomBytes;
  /** Adds to the monotonic clock to give the time of day, finer than the wall clock. */
  readonly #epochMs: number;
  readonly #clock: Clock;
  readonly #logs: ReplyLog[] = [];
  readonly #spans: ReplySpan[] = [];
  #spanId: string | undefined;

  constructor(wish: TelemetryWish, dialect: TelemetryDialect, clock: Clock, random: RandomBytes) {
    this.#wish = wish;
    this.#dialect = dialect;
    this.#random = random;
    this.#clock = clock;
    this.#epochMs = clock.now() - clock.monotonic();
  }

  get tracingHelper(): ExecutionObserver['tracingHelper'] {
    const enabled = this.#wish.spans;
    return {
      isEnabled: () => enabled,
      runInChildSpan: (nameOrOptions, callback) => {
        const options = typeof nameOrOptions === 'string' ? { name: nameOrOptions } : nameOrOptions;
        const kind = 'kind' in options && options.kind === SPAN_KIND_CLIENT ? 'client' : 'internal';
        const attributes = 'attributes' in options ? options.attributes : undefined;
        return this.span(options.name, kind, attributes, callback);
      },
    };
  }

  /** Notes the time from now until `work` has ended. */
  span<T>(name: string, kind: 'internal' | 'client', attributes: unknown, work: () => T): T {
    const id = this.#newSpanId();
    const startTime = this.#now();
    const end = (): void => {
      if (!this.#wish.spans || this.#spans.length >= ENTRIES_MAX) return;
      const endTime = this.#now();
      this.#spans.push({
        id,
        parentId: null,
        name: this.#dialect.spanPrefix + name,
        kind,
        startTime,
        endTime,
        ...(attributes === undefined ? {} : { attributes }),
      });
    };
    this.#spanId = id;
    let result: T;
    try {
      result = work();
    } catch (error) {
      end();
      throw error;
    }
    if (result instanceof Promise) void result.then(end, end);
    else end();
    return result;
  }

  onQuery(event: QueryEvent): void {
    if (!this.#wish.queries || this.#logs.length >= ENTRIES_MAX) return;
    const params = safeJsonStringify(event.params);
    this.#logs.push({
      level: 'query',
      spanId: this.#spanId ?? this.#newSpanId(),
      ...(this.#dialect.target === undefined ? {} : { target: this.#dialect.target }),
      timestamp: hrTime(event.timestamp.getTime()),
      message: 'Query',
      attributes: {
        query: event.query,
        params: params.length > PARAMS_LENGTH_MAX ? `${params.slice(0, PARAMS_LENGTH_MAX)}…` : params,
        duration_ms: event.duration,
        message: 'Query',
      },
    });
  }

  /** The `extensions` of a reply. */
  extensions(): Record<string, unknown> {
    return {
      ...(this.#wish.queries ? { logs: this.#logs } : {}),
      ...(this.#wish.spans ? { [this.#dialect.spansName]: this.#spans } : {}),
    };
  }

  #now(): HrTime {
    return hrTime(this.#epochMs + this.#clock.monotonic());
  }

  #newSpanId(): string {
    return Buffer.from(this.#random(8)).toString('hex');
  }
}

function hrTime(epochMs: number): HrTime {
  const seconds = Math.floor(epochMs / 1000);
  return [seconds, Math.round((epochMs - seconds * 1000) * 1e6)];
}
