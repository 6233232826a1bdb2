import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_VERSIONS, type ClientVersion, type Loose } from '../support/clients.ts';
import { seedLibrary } from '../support/library.ts';
import { plain } from '../support/plain.ts';
import { type RandomRead, randomRead } from '../support/random-queries.ts';
import { type RandomWrite, randomWrite } from '../support/random-writes.ts';
import { numberFrom } from '../support/seeded.ts';
import { useBothTargets } from '../support/use-targets.ts';

// Sends the same query to the platform and to the vendor's own engine of each version, and expects the same reply from
// both.
const { ours, theirs } = useBothTargets();

/** The seed of the random queries; DORMOUSE_SEED sets another. A failure prints its seed. */
const SEED = numberFrom('DORMOUSE_SEED', 20261201);

/** The number of reads per version; DORMOUSE_ROUNDS sets another. */
const RUNS = 300 * numberFrom('DORMOUSE_ROUNDS', 1);

/**
 * A reply in comparable form. Prisma 6's own engine keeps 16 digits of a float, Postgres 17. Two engines set
 * `updatedAt` at two moments. Prisma 6 did not know the SQLSTATE of RESTRICT in Postgres 18.
 */
async function answer(prisma: Loose, { model, operation, args }: RandomRead | RandomWrite): Promise<unknown> {
  try {
    return comparable(await prisma[model][operation](args));
  } catch (error) {
    const { name, code, message } = error as Loose;
    if (name === 'PrismaClientUnknownRequestError' && message.includes('code: "23001"')) return 'P2003';
    return code ?? `${name}: ${message}`;
  }
}

function comparable(value: unknown): unknown {
  return JSON.parse(JSON.stringify(plain(value)), (key, each) => {
    if (typeof each === 'number') return Number(each.toPrecision(15));
    return key === 'updatedAt' && each > '2025' ? 'touched' : each;
  });
}

/** All rows that the writes may have changed. */
async function everything(prisma: Loose): Promise<unknown> {
  return comparable([
    await prisma.user.findMany({ orderBy: { id: 'asc' } }),
    await prisma.post.findMany({ orderBy: { id: 'asc' }, include: { categories: { orderBy: { id: 'asc' } } } }),
    await prisma.profile.findMany({ orderBy: { id: 'asc' } }),
    await prisma.category.findMany({ orderBy: { id: 'asc' } }),
    await prisma.membership.findMany({ orderBy: [{ org: 'asc' }, { userId: 'asc' }] }),
    await prisma.postLabel.findMany({ orderBy: [{ postId: 'asc' }, { labelId: 'asc' }] }),
    await prisma.label.findMany({ orderBy: { id: 'asc' } }),
  ]);
}

describe.each(CLIENT_VERSIONS)('Prisma %i', (version: ClientVersion) => {
  let our: Loose;
  let their: Loose;
  beforeAll(async () => {
    our = ours.of(version).open();
    their = theirs.of(version).open();
    await seedLibrary(our, ours.of(version).module.Prisma);
    await seedLibrary(their, theirs.of(version).module.Prisma);
  });

  it('random reads get the replies of the vendor’s engine', async () => {
    let found = 0;
    await fc.assert(
      fc.asyncProperty(randomRead, async (read) => {
        const [mine, expected] = await Promise.all([answer(our, read), answer(their, read)]);
        expect(mine).toEqual(expected);
        if (Array.isArray(expected) && expected.length > 0) found++;
      }),
      { seed: SEED, numRuns: RUNS, endOnFailure: false },
    );
    // Queries that find no rows compare nothing, so most must find some.
    expect(found).toBeGreaterThan(60);
  });

  it('random writes get the replies of the vendor’s engine and leave the same rows', async () => {
    let done = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(randomWrite, { minLength: 3, maxLength: 6 }), async (writes) => {
        await Promise.all([
          seedLibrary(our, ours.of(version).module.Prisma),
          seedLibrary(their, theirs.of(version).module.Prisma),
        ]);
        for (const write of writes) {
          const [mine, expected] = await Promise.all([answer(our, write), answer(their, write)]);
          expect(mine).toEqual(expected);
          if (typeof expected !== 'string') done++;
        }
        const [mine, expected] = await Promise.all([everything(our), everything(their)]);
        expect(mine).toEqual(expected);
      }),
      { seed: SEED, numRuns: RUNS / 6 },
    );
    expect(done).toBeGreaterThan(RUNS / 6);
  });
});
