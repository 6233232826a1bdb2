import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { parseDuration, parseSize, Server } from '@prisma/query-plan-executor';

/** The vendor's own server of Prisma 7's routes, over any Postgres: the oracle and a peer. */
export interface VendorExecutor {
  /** What a client takes as `accelerateUrl`. */
  readonly accelerateUrl: string;
  readonly http: string;
  stop(): Promise<void>;
}

/** Starts it on a free port of 127.0.0.1. It checks no key. */
export async function startVendorExecutor(postgresUrl: string): Promise<VendorExecutor> {
  const app = await Server.create({
    databaseUrl: postgresUrl,
    maxResponseSize: parseSize('64 MiB'),
    queryTimeout: parseDuration('PT60S'),
    maxTransactionTimeout: parseDuration('PT90S'),
    maxTransactionWaitTime: parseDuration('PT30S'),
    perRequestLogContext: { logLevel: 'off', logFormat: 'text' },
  });
  const server = createServer(async (request, response) => {
    try {
      const headers = new Headers();
      for (const [name, value] of Object.entries(request.headers)) if (typeof value === 'string') headers.set(name, value);
      const body = request.method === 'POST' ? new Uint8Array(await buffer(request)) : undefined;
      const reply = await app.fetch(
        new Request(`http://127.0.0.1${request.url}`, { method: request.method ?? 'GET', headers, ...(body ? { body } : {}) }),
      );
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
