import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Deadline, silentLogger, systemClock } from '../src/base/index.ts';
import { Compiler } from '../src/engine/compiler/compiler.ts';
import { graphBytes } from '../src/engine/compiler/packed-graph.ts';
import { until } from '../test/support/until.ts';
import { table } from './rounds.ts';

const MODELS = [20, 100, 500, 1000];
const LONG_MS = 300_000;

/**
 * What a schema costs by its size: its upload, what is read of it aside, its first query and its others, and the main
 * loop meanwhile.
 */
export async function schemas(): Promise<string> {
  const rows: string[][] = [];
  for (const models of MODELS) {
    const compiler = new Compiler({ clock: systemClock, log: silentLogger });
    const soon = (): Deadline => Deadline.in(systemClock, LONG_MS);
    const text = schemaOf(models);
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const uploaded = performance.now();
    const facts = await compiler.load('bench', text, soon());
    const checkedMs = performance.now() - uploaded;
    const source = { hash: String(models), text: async () => text };
    const compile = async (model: number): Promise<number> => {
      const started = performance.now();
      await compiler.compile('bench', 'compile', source, findMany(model), soon());
      return performance.now() - started;
    };
    const firstMs = await compile(0);
    const others: number[] = [];
    for (let each = 1; each <= 50; each++) others.push(await compile((each * 7) % models));
    others.sort((one, other) => one - other);
    const parameters = await until(() => facts.parameters, { what: 'the metadata is read', withinMs: LONG_MS });
    const readMs = performance.now() - uploaded;
    delay.disable();
    rows.push([
      String(models),
      `${Math.round(text.length / 1024)} KiB`,
      checkedMs.toFixed(0),
      readMs.toFixed(0),
      firstMs.toFixed(0),
      (others[others.length >> 1] as number).toFixed(1),
      (graphBytes(parameters.graph) / 2 ** 20).toFixed(1),
      (delay.max / 1e6).toFixed(0),
    ]);
    await compiler.close();
  }
  return table(
    [
      'models',
      'text',
      'upload answered, ms',
      'shapes known, ms',
      'first query compiled, ms',
      'another, ms',
      'held, MiB',
      'longest stall of the loop, ms',
    ],
    rows,
  );
}

/** Models of a dozen fields, each related to its neighbours. */
function schemaOf(models: number): string {
  let text = 'datasource db {\n  provider = "postgresql"\n}\nenum Kind {\n  A\n  B\n}\n';
  for (let i = 0; i < models; i++) {
    text += `model M${i} {
  id    Int      @id @default(autoincrement())
  name  String
  email String   @unique
  at    DateTime @default(now())
  price Decimal?
  big   BigInt?
  kind  Kind     @default(A)
  flag  Boolean
  data  Json?
  tags  String[]
  ratio Float?
${i > 0 ? `  parent   M${i - 1}? @relation("r${i}", fields: [parentId], references: [id])\n  parentId Int?\n` : ''}${
  i < models - 1 ? `  children M${i + 1}[] @relation("r${i + 1}")\n` : ''
}}\n`;
  }
  return text;
}

function findMany(model: number): string {
  return JSON.stringify({
    modelName: `M${model}`,
    action: 'findMany',
    query: { arguments: { where: { id: { gt: 1 } } }, selection: { $scalars: true, $composites: true } },
  });
}
