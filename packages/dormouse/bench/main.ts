import { cpus, totalmem } from 'node:os';
import { branch } from './branch.ts';
import { cache } from './cache.ts';
import { create } from './create.ts';
import { density } from './density.ts';
import { engine } from './engine.ts';
import { type BenchFlags, readFlags } from './flags.ts';
import { memory } from './memory.ts';
import { schemas } from './schemas.ts';
import { wake } from './wake.ts';

/** One file a claim; each prints a table in Markdown with its peers. Without a name all run but `LONG`. */
const CLAIMS: Readonly<Record<string, (flags: BenchFlags) => Promise<string>>> = {
  wake,
  create,
  branch,
  cache,
  engine,
  memory,
  schemas,
  density,
};

/** Minutes, and the whole machine. */
const LONG = 'density';

const { names: wanted, flags } = readFlags(process.argv.slice(2));
const unknown = wanted.filter((name) => CLAIMS[name] === undefined);
if (unknown.length > 0) {
  console.error(`There is no benchmark "${unknown.join('", "')}". There are: ${Object.keys(CLAIMS).join(', ')}.`);
  process.exit(2);
}
const [cpu] = cpus();
console.log(
  `${cpu?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}, ${process.platform}\n`,
);
for (const name of wanted.length > 0 ? wanted : Object.keys(CLAIMS).filter((name) => name !== LONG)) {
  console.log(`### ${name}\n`);
  console.log(`${await (CLAIMS[name] as (flags: BenchFlags) => Promise<string>)(flags)}\n`);
}
process.exit(0);
