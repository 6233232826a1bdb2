import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { DormouseError, protocolOf } from '../../src/base/index.ts';
import { renderError } from '../../src/edge/index.ts';
import type { EngineDatabase } from '../../src/engine/index.ts';
import { callOf } from './bare-engine.ts';
import { originRoute } from './origin-route.ts';

/** One request to an engine as the door gets it, and what the engine says. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

export interface ExchangeReply {
  readonly status: number;
  readonly body: string;
}

/** Asks an engine as the door would; a DormouseError becomes the reply that the client sees. */
export async function exchange(database: EngineDatabase, asked: Exchange): Promise<ExchangeReply> {
  const request = {
    header: (name: string) => asked.headers[name],
    // A copy: what is read in a thread is handed over.
    body: new Uint8Array(asked.body),
  };
  try {
    const { status, body } = await database.handle(request, callOf(originRoute(asked.method, asked.path)));
    return { status, body: Buffer.from(body).toString('utf8') };
  } catch (error) {
    if (!(error instanceof DormouseError)) throw error;
    const { status, body } = renderError(error, protocolOf(asked.path));
    return { status, body: Buffer.from(body).toString('utf8') };
  }
}

/** An HTTP door to whatever answers, for a stock client. */
export interface EngineHttpDoor {
  /** As the client takes it. */
  readonly prismaUrl: string;
  /** Throws what the answering function has thrown meanwhile: the client itself sees only a failed reply. */
  rethrow(): void;
  close(): Promise<void>;
}

export async function openEngineHttpDoor(answer: (asked: Exchange) => Promise<ExchangeReply>): Promise<EngineHttpDoor> {
  const thrown: unknown[] = [];
  const rethrow = (): void => {
    if (thrown.length > 0) throw thrown.splice(0)[0];
  };
  const server = createServer(async (incoming, outgoing) => {
    const body = await buffer(incoming);
    const headers = incoming.headers as Record<string, string>;
    const reply = await answer({ method: incoming.method ?? 'GET', path: incoming.url ?? '/', body, headers }).catch(
      (error: unknown) => {
        thrown.push(error);
        return { status: 599, body: JSON.stringify({ code: 'P6000', message: String(error) }) };
      },
    );
    outgoing.writeHead(reply.status, { 'content-type': 'application/json' }).end(reply.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    prismaUrl: `prisma+postgres://127.0.0.1:${port}/?api_key=door`,
    rethrow,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rethrow();
    },
  };
}
