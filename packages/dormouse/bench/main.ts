import { cpus, totalmem } from 'node:os';
import { branch } from './branch.ts';
import { cache } from './cache.ts';
import { create } from './create.ts';
import { density } from './density.ts';
import { engine } from './engine.ts';
import { type BenchFlags, readFlags, UsageError } from './flags.ts';
import { memory } from './memory.ts';
import { schemas } from './schemas.ts';
import { wake } from './wake.ts';

/**
 * One file a claim; each prints a table in Markdown with its peers. Its flags, with what they are unless told
 * otherwise.
 */
interface Claim {
  readonly shows: string;
  readonly flags: Readonly<Record<string, string>>;
  readonly run: (flags: BenchFlags) => Promise<string>;
}

const CLAIMS: Readonly<Record<string, Claim>> = {
  wake: {
    shows: 'from asleep to the first reply',
    flags: { wakes: '20', rounds: '5', clients: '200', sleepers: '100', 'storm-rounds': '3' },
    run: wake,
  },
  create: { shows: 'a new database', flags: { rounds: '5' }, run: create },
  branch: { shows: 'a copy of a database', flags: { rounds: '3', mb: '10,1000' }, run: branch },
  cache: { shows: 'a cached reply', flags: { rounds: '5', connections: '1,16,64' }, run: cache },
  engine: {
    shows: 'queries of Prisma; half an hour in full',
    flags: { rounds: '5', seconds: '1.5', connections: '1,16,64', only: 'findMany,create' },
    run: engine,
  },
  memory: {
    shows: 'memory over many queries of many shapes',
    flags: { queries: '1000000', shapes: '10000', connections: '16', databases: '1' },
    run: memory,
  },
  schemas: { shows: 'large schemas of Prisma 6', flags: {}, run: schemas },
  density: {
    shows: 'many databases on one machine; the whole machine for ten minutes',
    flags: { databases: '1000', minutes: '10', active: '50', 'stop-after': '5', seed: '1' },
    run: density,
  },
};

/** Minutes, and the whole machine: only by its name. */
const LONG = 'density';

const USAGE = [
  'npm run bench -- [NAME …] [--FLAG VALUE …]',
  '',
  `Runs benchmarks; without a name all but ${LONG}. Tables go to stdout, progress to stderr. Flags shorten a run; shown with their`,
  'defaults, but for --only: parts of the names of queries, of which all are asked.',
  '',
  ...Object.entries(CLAIMS).flatMap(([name, { shows, flags }]) => [
    `  ${name.padEnd(10)} ${shows}`,
    ...Object.entries(flags).map(([flag, value]) => `${' '.repeat(13)}--${flag} ${value}`),
  ]),
].join('\n');

function chosen(): { readonly names: readonly string[]; readonly flags: BenchFlags } {
  const { names: wanted, given, flags } = readFlags(process.argv.slice(2));
  const unknown = wanted.filter((name) => !Object.hasOwn(CLAIMS, name));
  if (unknown.length > 0) throw new UsageError(`There is no benchmark "${unknown.join('", "')}".`);
  const names = wanted.length > 0 ? wanted : Object.keys(CLAIMS).filter((name) => name !== LONG);
  for (const flag of given) {
    if (!names.some((name) => Object.hasOwn((CLAIMS[name] as Claim).flags, flag))) {
      throw new UsageError(`--${flag} is no flag of ${wanted.length > 0 ? wanted.join(', ') : 'these benchmarks'}.`);
    }
  }
  return { names, flags };
}

async function main(): Promise<void> {
  if (process.argv.slice(2).some((word) => word === '--help' || word === '-h')) {
    console.log(USAGE);
    return;
  }
  const { names, flags } = chosen();
  const [cpu] = cpus();
  console.log(
    `${cpu?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}, ${process.platform}\n`,
  );
  for (const name of names) {
    console.log(`### ${name}\n`);
    console.log(`${await (CLAIMS[name] as Claim).run(flags)}\n`);
  }
}

try {
  await main();
  process.exit(0);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\n${USAGE}`);
  process.exit(2);
}
