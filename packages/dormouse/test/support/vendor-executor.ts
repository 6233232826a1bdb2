import { AsyncLocalStorage } from 'node:async_hooks';
import { createServer, type IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type Context, type ContextManager, context, ROOT_CONTEXT } from '@opentelemetry/api';
import * as newest from '@prisma/query-plan-executor';

/** The vendor's own server of Prisma 7's routes, over any Postgres: the oracle and a peer. */
export interface VendorExecutor {
  /** What a client takes as `accelerateUrl`. */
  readonly accelerateUrl: string;
  readonly http: string;
  stop(): Promise<void>;
}

/** The executor finds its logger in OpenTelemetry's context, which needs someone to carry it over awaits. */
class AsyncContexts implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();

  active(): Context {
    return this.#storage.getStore() ?? ROOT_CONTEXT;
  }
  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    active: Context,
    fn: F,
    thisArg?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    return this.#storage.run(active, () => fn.apply(thisArg as ThisParameterType<F>, args));
  }
  bind<T>(active: Context, target: T): T {
    if (typeof target !== 'function') return target;
    return ((...args: unknown[]) => this.#storage.run(active, () => target(...args))) as T;
  }
  enable(): this {
    return this;
  }
  disable(): this {
    this.#storage.disable();
    return this;
  }
}

async function toRequest(request: IncomingMessage): Promise<Request> {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) if (typeof value === 'string') headers.set(name, value);
  const method = request.method ?? 'GET';
  const body = method === 'POST' ? { body: new Uint8Array(await buffer(request)) } : {};
  return new Request(`http://127.0.0.1${request.url}`, { method, headers, ...body });
}

/** The executors of earlier versions, by the first version that each stands for. */
export const EARLIER_EXECUTORS = ['7.1', '7.2', '7.8', '7.9'] as const;
export type EarlierExecutor = (typeof EARLIER_EXECUTORS)[number];

/** Starts it on a free port of 127.0.0.1, the newest unless told. It checks no key. */
export async function startVendorExecutor(postgresUrl: string, version?: EarlierExecutor): Promise<VendorExecutor> {
  const module: typeof newest = version === undefined ? newest : createRequire(import.meta.url)(`executor-${version}`);
  const { createConsoleLogger, parseDuration, parseSize, Server, withActiveLogger } = module;
  context.setGlobalContextManager(new AsyncContexts());
  const logger = createConsoleLogger('text', 'off');
  const app = await withActiveLogger(logger, () =>
    Server.create({
      databaseUrl: postgresUrl,
      maxResponseSize: parseSize('64 MiB'),
      queryTimeout: parseDuration('PT60S'),
      maxTransactionTimeout: parseDuration('PT90S'),
      maxTransactionWaitTime: parseDuration('PT30S'),
    }),
  );
  const server = createServer(async (request, response) => {
    try {
      const query = await toRequest(request);
      const reply = await withActiveLogger(logger, async () => app.fetch(query));
      response.writeHead(reply.status, Object.fromEntries(reply.headers));
      response.end(new Uint8Array(await reply.arrayBuffer()));
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    accelerateUrl: `prisma+postgres://127.0.0.1:${port}/?api_key=vendor`,
    http: `http://127.0.0.1:${port}`,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await app.shutdown();
    },
  };
}
