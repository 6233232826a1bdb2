import { readdirSync, readFileSync } from 'node:fs';
import { type Loose, loadClient } from '../test/support/clients.ts';
import { pushSchema } from '../test/support/push-schema.ts';
import { seeded } from '../test/support/seeded.ts';
import { clientOptions } from '../test/support/target.ts';
import type { BenchFlags } from './flags.ts';
import { inTurn, load, type RecordedRequest, type Units } from './load.ts';
import { apiKeyOf, forKey } from './requests.ts';
import { table } from './rounds.ts';
import { openStage, type Stage } from './stage.ts';

const QUERIES = 1_000_000;
const SHAPES = 10_000;
const CONNECTIONS = 16;
/** Shares of all queries after which memory is measured. */
const LOOKS = [0.01, 0.1, 0.25, 0.5, 0.75, 1];
/** The number of hot shapes. Apps repeat most of their queries: nine of ten queries have a hot shape, one has any. */
const HOT_SHAPES = 500;
/** Shapes recorded at once, so that the client's own memory stays small. */
const RECORDED_AT_ONCE = 1000;
/** Memory at the end in terms of memory at half of the queries, above which it is said to grow. */
const GROWTH_MAX = 1.1;

const COLUMNS = ['id', 'title', 'body', 'published', 'views', 'rating', 'writtenAt', 'authorId', 'reviewerId'] as const;
const SELECTIONS = 2 ** COLUMNS.length - 1;
const FILTERS: readonly ((turn: number) => Loose)[] = [
  (turn) => ({ id: { gt: turn % 900 } }),
  (turn) => ({ views: { lte: turn % 900 } }),
  (turn) => ({ OR: [{ id: turn % 900 }, { published: true }] }),
];

/** A query whose shape no other number has. */
function shape(number: number): (prisma: Loose) => Promise<unknown> {
  const chosen = 1 + (number % SELECTIONS);
  const order = Math.floor(number / SELECTIONS) % (2 * COLUMNS.length);
  const filter = Math.floor(number / SELECTIONS / (2 * COLUMNS.length)) % FILTERS.length;
  const select = Object.fromEntries(
    COLUMNS.filter((_name, bit) => (chosen & (1 << bit)) !== 0).map((name) => [name, true]),
  );
  const orderBy = { [COLUMNS[order >> 1] as string]: order % 2 === 0 ? 'asc' : 'desc' };
  return (prisma) => prisma.post.findMany({ select, where: FILTERS[filter]?.(number), orderBy, take: 3 });
}

/** Keys of further databases that know the same queries: empty, their schema uploaded. */
async function furtherKeys(stage: Stage, count: number): Promise<string[]> {
  const keys: string[] = [];
  const { PrismaClient } = await loadClient(6);
  for (let number = 0; number < count; number++) {
    const database = await stage.platform.createDatabase(`further-${number}`);
    await pushSchema(database.postgresUrl, 7);
    const client = new PrismaClient(clientOptions(6, database.prismaUrl));
    try {
      await shape(0)(client);
    } finally {
      await client.$disconnect();
    }
    keys.push(apiKeyOf(database));
  }
  return keys;
}

/**
 * Resident memory of the platform and of its servers over many queries of many shapes, by both protocols in turn; each
 * of several databases is asked all shapes.
 */
export async function memory(flags: BenchFlags): Promise<string> {
  const queries = flags('queries', QUERIES);
  const shapes = flags('shapes', SHAPES);
  const connections = flags('connections', CONNECTIONS);
  const databases = flags('databases', 1);
  const stage = await openStage(['--suspend-after', 'never']);
  const pid = stage.platform.child.pid as number;
  try {
    const recorded: RecordedRequest[] = [];
    for (let from = 0; from < shapes; from += RECORDED_AT_ONCE) {
      const numbers = Array.from({ length: Math.min(RECORDED_AT_ONCE, shapes - from) }, (_, index) => from + index);
      const [six, seven] = [await stage.record(6, numbers.map(shape)), await stage.record(7, numbers.map(shape))];
      // Both versions of a shape stand together, and are hot together.
      for (const number of numbers.keys())
        recorded.push(six[number] as RecordedRequest, seven[number] as RecordedRequest);
    }
    const keys = [stage.apiKey, ...(await furtherKeys(stage, databases - 1))];
    const units = mixed(recorded, stage.apiKey, keys);
    const rows: string[][] = [];
    const residents: number[] = [];
    let done = 0;
    for (const look of LOOKS) {
      const total = Math.round(queries * look) - done;
      const result = await load({ host: '127.0.0.1', port: stage.port, units, connections, total });
      if (result.failures > 0) throw new Error(`${result.failures} replies were errors`);
      done += result.done;
      const platform = residentMib(pid, 'VmRSS');
      const servers = descendants(pid).reduce((sum, child) => sum + residentMib(child, 'RssAnon'), 0);
      residents.push(platform);
      rows.push([String(done), platform.toFixed(0), servers.toFixed(0), (result.done / result.seconds).toFixed(0)]);
      console.error(`${done} queries: ${platform.toFixed(0)} MiB`);
    }
    const growth = (residents.at(-1) as number) / (residents[LOOKS.indexOf(0.5)] as number);
    const verdict = growth <= GROWTH_MAX ? 'flat' : 'not flat';
    return [
      `${shapes} shapes by both protocols, ${connections} connections, databases: ${databases}.\n`,
      table(['queries', 'platform, MiB resident', "its servers' own, MiB", 'queries/s'], rows),
      `\nAt the end ${growth.toFixed(2)} times the memory at half of the queries: ${verdict} (at most ${GROWTH_MAX}).`,
    ].join('\n');
  } finally {
    await stage.stop();
  }
}

function mixed(recorded: readonly RecordedRequest[], recordedKey: string, keys: readonly string[]): Units {
  const random = seeded(1);
  const all = inTurn(recorded);
  const hot = Math.min(2 * HOT_SHAPES, recorded.length);
  return () => {
    const unit = all(random.below(10) === 0 ? random.below(recorded.length) : random.below(hot));
    const key = keys[random.below(keys.length)] as string;
    return key === recordedKey ? unit : unit.map((step) => forKey(step as RecordedRequest, recordedKey, key));
  };
}

/** A line of a process' status, in MiB. */
function residentMib(pid: number, name: 'VmRSS' | 'RssAnon'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) / 1024;
}

/** Processes below another one. */
function descendants(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const fields = readFileSync(`/proc/${name}/stat`, 'latin1')
        .replace(/^.*\) /s, '')
        .split(' ');
      parents.set(Number(name), Number(fields[1]));
    } catch {
      // The process ended meanwhile.
    }
  }
  const found: number[] = [];
  for (const pid of parents.keys()) {
    let above = parents.get(pid);
    while (above !== undefined && above !== root) above = parents.get(above);
    if (above === root) found.push(pid);
  }
  return found;
}
