import { Cancellation, Deadline, systemClock } from '../../src/base/index.ts';
import { PrismaRuntime } from '../../src/engine/prisma-runtime/prisma-runtime.ts';
import type { Node } from '../../src/engine/program/nodes/nodes.ts';
import { Pace } from '../../src/engine/program/pace.ts';
import type { RecordSet } from '../../src/engine/program/records/record-set.ts';
import { Run, type StatementRunner } from '../../src/engine/program/run.ts';

// What the unit tests of the nodes stand on: rows by hand, and a run without a server.

const INT4 = 23;

export const field = (name: string, typeOid: number = INT4): RecordSet['fields'][number] => ({
  name,
  tableOid: 0,
  columnNumber: 0,
  typeOid,
  typeSize: 4,
  typeModifier: -1,
  format: 0,
});

/** A DataRow's payload. */
export function dataRow(...values: (string | null)[]): Uint8Array {
  const parts: Buffer[] = [Buffer.from([values.length >> 8, values.length & 255])];
  for (const value of values) {
    const length = Buffer.alloc(4);
    length.writeInt32BE(value === null ? -1 : Buffer.byteLength(value));
    parts.push(length, Buffer.from(value ?? ''));
  }
  return Buffer.concat(parts);
}

export const gives = (value: unknown): Node => ({ evaluate: () => value });

/** A run whose statements are recorded, if they are given, and whose rare parts go to Prisma's runtime. */
export function testRun(statements: Partial<StatementRunner> = {}): Run & { readonly cancellation: Cancellation } {
  const runtime = new PrismaRuntime();
  const cancellation = new Cancellation();
  const run = new Run(
    {},
    statements as StatementRunner,
    {
      nowMs: () => 0,
      generate: (call) => runtime.generate(call),
      evaluateByRuntime: (node, given, options) => runtime.execute(node, {}, given, options),
    },
    { inTransaction: false, pace: new Pace({ deadline: Deadline.in(systemClock, 60_000), cancellation }) },
  );
  return Object.assign(run, { cancellation });
}
