import { type ClientVersion, type Loose, requireOf } from './clients.ts';

/** A span with what hangs from it. */
export interface SpanTree {
  readonly name: string;
  readonly kind: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly children: readonly SpanTree[];
}

/** The spans and logs that an application received for one piece of its work. */
export interface Heard {
  /** 'done', or the code of the error, or the end of its message if it has none. */
  readonly outcome: string;
  readonly spans: readonly SpanTree[];
  readonly queries: readonly { readonly query: string; readonly params: string; readonly target: string }[];
  /** Whether each engine's span began and ended within its parent. */
  readonly nested: boolean;
  /** Names of spans that no client wrote, but other code in this process. */
  readonly own: readonly string[];
}

/** An application that traces and logs, of any version of the stock client. */
export interface Listening {
  /** Turns the version's instrumentation on; gives what turns it off. */
  instrument(version: ClientVersion): () => void;
  hear(client: Loose, work: (client: Loose) => Promise<unknown>): Promise<Heard>;
  /** Queries that a client has told of since `hear` began. */
  heardOf(client: Loose): number;
  stop(): Promise<void>;
}

const EVENT = 'query';

/**
 * Sets this process up as an application does that traces: one provider, one exporter. Nothing else in the process may.
 */
export function startListening(): Listening {
  const load = requireOf(7);
  const { trace, context } = load('@opentelemetry/api');
  const { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } = load('@opentelemetry/sdk-trace-base');
  const { AsyncLocalStorageContextManager } = load('@opentelemetry/context-async-hooks');
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  trace.setGlobalTracerProvider(provider);
  const events = new WeakMap<Loose, Loose[]>();
  return {
    instrument(version) {
      const { PrismaInstrumentation } = requireOf(version)('@prisma/instrumentation');
      const instrumentation = new PrismaInstrumentation();
      instrumentation.setTracerProvider(provider);
      instrumentation.enable();
      return () => instrumentation.disable();
    },
    async hear(client, work) {
      let heard = events.get(client);
      if (heard === undefined) {
        heard = [];
        events.set(client, heard);
        client.$on(EVENT, (event: Loose) => events.get(client)?.push(event));
      }
      heard.splice(0);
      exporter.reset();
      const outcome = await work(client).then(
        () => 'done',
        (error: Loose) => String(error.code ?? error.message.trim().split('\n').at(-1)),
      );
      await provider.forceFlush();
      const all: readonly Loose[] = exporter.getFinishedSpans();
      return {
        outcome,
        spans: treesOf(all.filter(({ name }) => name.startsWith('prisma:'))),
        queries: heard.map(({ query, params, target }) => ({ query, params, target })),
        nested: areNested(all.filter(({ name }) => /^prisma:(?:engine|accelerate):/.test(name))),
        own: all.filter(({ name }) => !name.startsWith('prisma:')).map(({ name }) => name),
      };
    },
    heardOf: (client) => events.get(client)?.length ?? 0,
    async stop() {
      trace.disable();
      context.disable();
      await provider.shutdown();
    },
  };
}

/** In the order in which the client was told of them. */
function treesOf(spans: readonly Loose[], parent?: Loose): SpanTree[] {
  const ids = new Set(spans.map((span) => span.spanContext().spanId));
  const isRoot = (span: Loose): boolean => !ids.has(span.parentSpanContext?.spanId);
  return spans
    .filter((span) =>
      parent === undefined ? isRoot(span) : span.parentSpanContext?.spanId === parent.spanContext().spanId,
    )
    .map((span) => ({
      name: span.name,
      kind: span.kind,
      attributes: span.attributes,
      children: treesOf(spans, span),
    }));
}

function areNested(spans: readonly Loose[]): boolean {
  const nanoseconds = ([seconds, rest]: [number, number]): bigint => BigInt(seconds) * 1_000_000_000n + BigInt(rest);
  return spans.every((span) => {
    const [start, end] = [nanoseconds(span.startTime), nanoseconds(span.endTime)];
    const parent = spans.find((each) => each.spanContext().spanId === span.parentSpanContext?.spanId);
    if (end < start) return false;
    return parent === undefined || (nanoseconds(parent.startTime) <= start && end <= nanoseconds(parent.endTime));
  });
}
