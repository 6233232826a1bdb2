import pg from 'pg';
import { workloadNamed } from '../engine-queries.ts';
import { serveOrders } from '../peer-process.ts';
import { runTurns } from '../turns.ts';

/** The bare driver in the app's own process: named statements, no Prisma, no HTTP. */
const pool = new pg.Pool({ connectionString: process.argv[2], max: 10 });

serveOrders({}, ({ name, seconds, concurrency }) => {
  const { driver } = workloadNamed(name as string);
  return runTurns(seconds as number, concurrency as number, async (turn) => {
    const client = await pool.connect();
    try {
      for (const step of driver) {
        await step(
          (statement, text, values) =>
            client.query({ text, values: values as unknown[], ...(statement === '' ? {} : { name: statement }) }),
          turn,
        );
      }
    } finally {
      client.release();
    }
  });
});
