import { safeJsonStringify } from '@prisma/client-engine-runtime';
import type { SqlQuery } from '@prisma/driver-adapter-utils';
import { type Clock, DormouseError, type RandomBytes } from '../../base/index.ts';
import type { OperationBounds, StatementObserver, TransactionStep } from '../statements/index.ts';
import { quaintParameters } from './quaint-parameters.ts';
import type { RequestContent } from './request-content.ts';
import { withoutTrace } from './trace-parent.ts';

/** Seconds and nanoseconds since 1970 UTC, as OpenTelemetry and Prisma's clients write instants. */
type HrTime = readonly [seconds: number, nanoseconds: number];

type SpanKind = 'internal' | 'client';

interface ReplySpan {
  readonly id: string;
  readonly parentId: string | null;
  readonly name: string;
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly kind: SpanKind;
  readonly attributes?: Readonly<Record<string, string>>;
}

/** The telemetry that a client asks for by the header `x-capture-telemetry`. */
interface TelemetryWish {
  readonly queries: boolean;
  readonly spans: boolean;
  /** Whether a level of logs is named, even one on which nothing is logged. */
  readonly logs: boolean;
}

/**
 * Log entries, and spans, that a reply may carry: the largest batch has 10 000 queries. Entries beyond the bound are
 * left out, and the query is answered.
 */
const ENTRIES_MAX = 30_000;
/** Characters of SQL and parameters in a reply's logs and spans together. */
const TEXT_CHARS_MAX = 8 * 2 ** 20;

/**
 * Reads `x-capture-telemetry`: levels of logs and the word `tracing`, separated by commas. Undefined if the header asks
 * for nothing that the engine has.
 */
function parseTelemetryWish(header: string | undefined): TelemetryWish | undefined {
  if (header === undefined) return undefined;
  const words = header.split(',').map((word) => word.trim());
  const queries = words.includes('query');
  const spans = words.includes('tracing');
  return queries || spans
    ? { queries, spans, logs: words.some((word) => word !== 'tracing' && word !== '') }
    : undefined;
}

/** A statement that has run or failed. */
interface EndedStatement {
  readonly query: SqlQuery;
  readonly failed: boolean;
  readonly startedAt: HrTime;
  readonly durationMs: number;
}

/** The form in which the vendor's engine of one major version writes telemetry. */
interface TelemetryDialect {
  /** The prefix of the span names that the client's version knows. */
  readonly spanPrefix: string;
  /** The names of operations and steps that become spans. */
  readonly spans: ReadonlySet<string>;
  readonly databaseSystem: string;
  /** See `StatementObserver`. */
  readonly whole: boolean;
  /** The SQL of a statement as a span shows it. */
  spanText(sql: string): string;
  /** The log entry of a statement, without the members that all entries have; undefined if it is not logged. */
  log(
    statement: EndedStatement,
  ): { readonly attributes: Record<string, unknown>; readonly [name: string]: unknown } | undefined;
  extensions(wish: TelemetryWish, logs: readonly object[], spans: readonly ReplySpan[]): Record<string, unknown>;
}

const STEPS: readonly TransactionStep[] = ['start_transaction', 'commit_transaction', 'rollback_transaction'];

/** Telemetry as the query engine of Prisma 6 writes it, with its Postgres connector `quaint`. */
export const PRISMA6_TELEMETRY: TelemetryDialect = {
  spanPrefix: 'prisma:engine:',
  spans: new Set(['query', ...STEPS, 'connection', 'serialize']),
  databaseSystem: 'db.system',
  whole: true,
  spanText: withoutTrace,
  log: ({ query, failed, durationMs }) => ({
    target: 'quaint::connector::metrics',
    attributes: {
      query: query.sql,
      params: quaintParameters(query.args, query.argTypes),
      result: failed ? 'error' : 'success',
      is_query: true,
      duration_ms: Math.floor(durationMs),
    },
  }),
  extensions: (_wish, logs, traces) => ({ logs, traces }),
};

/**
 * Telemetry as the query plan executor of Prisma 7 writes it. The executor names a duration as no client reads it: here
 * it is given under both names.
 */
export const PRISMA7_TELEMETRY: TelemetryDialect = {
  spanPrefix: 'prisma:accelerate:',
  spans: new Set(STEPS),
  databaseSystem: 'db.system.name',
  whole: false,
  spanText: (sql) => sql,
  log: ({ query, failed, startedAt: [seconds, nanoseconds], durationMs }) =>
    failed
      ? undefined
      : {
          message: 'Query',
          attributes: {
            timestamp: seconds * 1000 + Math.floor(nanoseconds / 1e6),
            duration: durationMs,
            duration_ms: durationMs,
            query: query.sql,
            params: safeJsonStringify(query.args),
          },
        },
  extensions: (wish, logs, spans) => ({ ...(wish.logs ? { logs } : {}), ...(wish.spans ? { spans } : {}) }),
};

/** The gatherer of a request's telemetry, if its client asked for any. */
export function telemetryOf(
  request: Pick<RequestContent, 'header'>,
  dialect: TelemetryDialect,
  { clock, random }: { readonly clock: Clock; readonly random: RandomBytes },
): Telemetry | undefined {
  const wish = parseTelemetryWish(request.header('x-capture-telemetry'));
  return wish === undefined ? undefined : new Telemetry(wish, dialect, clock, random);
}

/** The same bounds, with `telemetry` as the observer of the statements. */
export function observed(bounds: OperationBounds, telemetry: Telemetry | undefined): OperationBounds {
  return telemetry === undefined ? bounds : { ...bounds, observer: telemetry };
}

/** Runs the whole work of a request, as a span if the client asked for spans. */
export function operation<T>(
  telemetry: Telemetry | undefined,
  name: 'query' | TransactionStep,
  work: () => Promise<T>,
): Promise<T> {
  return telemetry === undefined ? work() : telemetry.operation(name, work);
}

/** Gathers the log entries and spans of one operation for its reply. */
export class Telemetry implements StatementObserver {
  readonly whole: boolean;
  readonly #wish: TelemetryWish;
  readonly #dialect: TelemetryDialect;
  readonly #random: RandomBytes;
  /** The difference between the wall clock and the monotonic clock, which is finer. */
  readonly #epochMs: number;
  readonly #clock: Clock;
  readonly #logs: object[] = [];
  readonly #spans: ReplySpan[] = [];
  #textLeft = TEXT_CHARS_MAX;
  /** The innermost open span that holds others. */
  #parentId: string | null = null;

  constructor(wish: TelemetryWish, dialect: TelemetryDialect, clock: Clock, random: RandomBytes) {
    this.whole = dialect.whole;
    this.#wish = wish;
    this.#dialect = dialect;
    this.#random = random;
    this.#clock = clock;
    this.#epochMs = clock.now() - clock.monotonic();
  }

  /** Runs the whole work of a request. */
  async operation<T>(name: 'query' | TransactionStep, work: () => Promise<T>): Promise<T> {
    if (!this.#tells(name)) return work();
    const outer = this.#parentId;
    const span = this.#begin(name, 'internal');
    this.#parentId = span.id;
    try {
      return await work();
    } finally {
      this.#parentId = outer;
      // Never left out for lack of room: the spans inside it name it as their parent.
      this.#spans.push({ ...span, endTime: this.#now() });
    }
  }

  /** Runs a step of a plan's own transaction. */
  step<T>(name: TransactionStep, work: () => Promise<T>): Promise<T> {
    // In Prisma 6 only interactive transactions have these spans.
    return this.whole ? work() : this.operation(name, work);
  }

  connection<T>(work: () => Promise<T>): Promise<T> {
    return this.#piece('connection', { [this.#dialect.databaseSystem]: 'postgresql' }, work);
  }

  /** Runs the writing of a query's result. */
  serialize<T>(work: () => T | Promise<T>): Promise<T> {
    return this.#piece('serialize', undefined, async () => work());
  }

  async statement<T>(query: SqlQuery, work: () => Promise<T>): Promise<T> {
    const span = this.#begin('db_query', 'client');
    const startedMs = this.#clock.monotonic();
    let failed = true;
    let isAnswered = true;
    try {
      const result = await work();
      failed = false;
      return result;
    } catch (error) {
      // A statement that the engine stopped has no answer to log.
      isAnswered = !(error instanceof DormouseError);
      throw error;
    } finally {
      const durationMs = this.#clock.monotonic() - startedMs;
      if (this.#wish.queries && isAnswered)
        this.#log(span.id, { query, failed, startedAt: span.startTime, durationMs });
      const { databaseSystem, spanText } = this.#dialect;
      if (this.#wish.spans) {
        this.#end(span, { [databaseSystem]: 'postgresql', 'db.query.text': spanText(query.sql) }, query.sql.length);
      }
    }
  }

  /** The `extensions` of a reply. */
  extensions(): Record<string, unknown> {
    return this.#dialect.extensions(this.#wish, this.#logs, this.#spans);
  }

  async #piece<T>(name: string, attributes: ReplySpan['attributes'], work: () => Promise<T>): Promise<T> {
    if (!this.#tells(name)) return work();
    const span = this.#begin(name, 'internal');
    try {
      return await work();
    } finally {
      this.#end(span, attributes, 0);
    }
  }

  #log(spanId: string, statement: EndedStatement): void {
    const entry = this.#dialect.log(statement);
    if (entry === undefined) return;
    const { query, params } = entry.attributes as { query: string; params: string };
    if (!this.#hasRoom(this.#logs, query.length + params.length)) return;
    this.#logs.push({ level: 'query', spanId, timestamp: this.#now(), ...entry });
  }

  #tells(name: string): boolean {
    return this.#wish.spans && this.#dialect.spans.has(name);
  }

  #hasRoom(entries: readonly object[], chars: number): boolean {
    if (entries.length >= ENTRIES_MAX || chars > this.#textLeft) return false;
    this.#textLeft -= chars;
    return true;
  }

  #begin(name: string, kind: SpanKind): Begun {
    const { spanPrefix } = this.#dialect;
    const id = Buffer.from(this.#random(8)).toString('hex');
    return { id, parentId: this.#parentId, name: spanPrefix + name, kind, startTime: this.#now() };
  }

  #end(span: Begun, attributes: ReplySpan['attributes'], chars: number): void {
    if (!this.#hasRoom(this.#spans, chars)) return;
    this.#spans.push({ ...span, endTime: this.#now(), ...(attributes === undefined ? {} : { attributes }) });
  }

  #now(): HrTime {
    return hrTime(this.#epochMs + this.#clock.monotonic());
  }
}

type Begun = Omit<ReplySpan, 'endTime'>;

function hrTime(epochMs: number): HrTime {
  const seconds = Math.floor(epochMs / 1000);
  return [seconds, Math.floor((epochMs - seconds * 1000) * 1e6)];
}
