import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Loose } from './clients.ts';

/** The body of the `POST /query` that a stock Prisma 7 client sends for one call: to be sent again, changed or not. */
export async function recordPlan(module: Loose, call: (client: Loose) => Promise<unknown>): Promise<string> {
  let recorded: string | undefined;
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => {
      response.setHeader('content-type', 'application/json');
      if (request.url?.startsWith('/connection-info')) {
        response.end(
          JSON.stringify({
            provider: 'postgres',
            connectionInfo: { schemaName: 'public', supportsRelationJoins: true },
          }),
        );
        return;
      }
      recorded ??= body;
      response.writeHead(400).end(JSON.stringify({ code: 'P6005', message: 'recorded', error: 'recorded' }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const client = new module.PrismaClient({ accelerateUrl: `prisma+postgres://127.0.0.1:${port}/?api_key=recorded` });
  try {
    await call(client).catch(() => {});
  } finally {
    await client.$disconnect();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  if (recorded === undefined) throw new Error('the client sent no query');
  return recorded;
}
