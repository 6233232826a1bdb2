import { parseArgs } from 'node:util';
import { seeded } from '../support/seeded.ts';
import { type SoakReport, soak } from './soak.ts';

const USAGE = `npm run soak -- [--minutes N] [--seed N]

  --minutes N   How long (10; or DORMOUSE_SOAK_MINUTES)
  --seed N      Repeats the run that printed this seed
`;

function refuse(message: string): never {
  console.error(`${message}\n\n${USAGE}`);
  process.exit(2);
}

function read() {
  try {
    const options = { minutes: { type: 'string' }, seed: { type: 'string' }, help: { type: 'boolean' } } as const;
    return parseArgs({ options }).values;
  } catch (error) {
    return refuse((error as Error).message);
  }
}

const values = read();
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const minutes = Number(values.minutes ?? process.env.DORMOUSE_SOAK_MINUTES ?? 10);
const seed = Number(values.seed ?? Date.now() % 1e9);
if (!(minutes > 0)) refuse('--minutes takes a number over 0.');
if (!Number.isFinite(seed)) refuse('--seed takes a number.');
console.log(`soak: ${minutes} minutes, seed ${seed}`);

function line({ rounds, answers, vanished, changes, residentBytes, descriptors }: SoakReport): string {
  const checked = Object.entries(answers).map(([kind, number]) => `${number} ${kind}`);
  const megabytes = Math.round((residentBytes.at(-1) ?? 0) / 2 ** 20);
  return `round ${rounds}: ${checked.join(', ')}; ${changes} changes of tables, ${vanished} vanished; ${megabytes} MiB, ${descriptors.at(-1)} descriptors`;
}

await soak({ ms: minutes * 60_000, random: seeded(seed).next, onRest: (report) => console.log(line(report)) });
console.log('nothing left behind, no wrong answer');
process.exit(0);
