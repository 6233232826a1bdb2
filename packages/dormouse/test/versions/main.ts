import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Platform, startPlatform } from '../support/platform.ts';
import { pushSchema } from '../support/push-schema.ts';
import { clientOptions } from '../support/target.ts';
import { exercise } from './exercise.ts';
import { installClient } from './install.ts';
import { openTlsDoor } from './tls.ts';

// The oldest, some between, and the youngest. They come from the registry: no matter of the test suite, which runs
// offline.
const VERSIONS = ['6.0.0', '6.5.0', '6.10.0', '6.16.0', '6.19.3', '7.0.0', '7.4.0', '7.5.0', '7.8.0', '7.10.0'];

async function serve(version: string, platform: Platform): Promise<void> {
  const major = version.startsWith('6.') ? 6 : 7;
  const { PrismaClient, Prisma } = await installClient(version);
  const database = await platform.createDatabase(`v${version.replace(/[^0-9a-z]+/g, '-')}`);
  await pushSchema(database.postgresUrl, major);
  // The oldest know the scheme by its first name only.
  const url = needsTls(version) ? database.prismaUrl.replace('prisma+postgres:', 'prisma:') : database.prismaUrl;
  const prisma = new PrismaClient(clientOptions(major, url));
  try {
    await exercise(prisma, Prisma);
  } finally {
    await prisma.$disconnect();
  }
}

function needsTls(version: string): boolean {
  return /^6\.[0-7]\./.test(version);
}

const USAGE = `npm run versions -- [VERSION…]

Installs stock Prisma Clients from the registry (once, into .cache/clients) and asks of each what an application asks.
Without a version: ${VERSIONS.join(', ')}.
`;

const wanted = process.argv.slice(2);
if (wanted.includes('--help')) {
  console.log(USAGE);
  process.exit(0);
}
const strange = wanted.find((version) => !/^[67]\.\d+\.\d+/.test(version));
if (strange !== undefined) {
  console.error(`${JSON.stringify(strange)} is no version of Prisma 6 or 7, such as 6.19.3.\n\n${USAGE}`);
  process.exit(2);
}
// The door with TLS that the oldest need has a certificate of its own.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
const door = await openTlsDoor();
const behindTls = await startPlatform({ flags: ['--public-url', door.url] });
// Its own address; what it calls itself is the door's.
door.lead(JSON.parse(readFileSync(join(behindTls.data, 'admin.json'), 'utf8')).url);
const plain = await startPlatform();
const failed: string[] = [];
try {
  for (const version of wanted.length > 0 ? wanted : VERSIONS) {
    try {
      await serve(version, needsTls(version) ? behindTls : plain);
      console.log(`${version}: served`);
    } catch (error) {
      failed.push(version);
      console.log(`${version}: FAILED`, error);
    }
  }
} finally {
  await plain.stop();
  await behindTls.stop();
  door.close();
}
if (failed.length > 0) console.error(`not served: ${failed.join(', ')}`);
process.exit(failed.length > 0 ? 1 : 0);
