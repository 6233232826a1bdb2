import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_VERSIONS, type ClientVersion, type Loose } from '../support/clients.ts';
import { seedLibrary } from '../support/library.ts';
import { plain } from '../support/plain.ts';
import { type RandomRead, randomRead } from '../support/random-queries.ts';
import { startTargets, type Targets } from '../support/target.ts';

// The same question to the platform and to the vendor's own engine of each version: the same answer from both.
let ours: Targets;
let theirs: Targets;
beforeAll(async () => {
  ours = await startTargets({ kind: 'platform' });
  theirs = await startTargets({ kind: 'vendor' });
});
afterAll(async () => {
  await ours?.stop();
  await theirs?.stop();
});

/** The seed of what is asked; another one by DORMOUSE_TEST_SEED. A failure names its own. */
const SEED = Number(process.env.DORMOUSE_TEST_SEED ?? 20261201);

/** Reads asked a version. */
const RUNS = Number(process.env.DORMOUSE_TEST_RUNS ?? 300);

/** An answer in comparable form. Prisma 6's own engine keeps 16 digits of a float, Postgres 17. */
async function answer(prisma: Loose, { model, operation, args }: RandomRead): Promise<unknown> {
  try {
    const found = plain(await prisma[model][operation](args));
    return JSON.parse(JSON.stringify(found), (_, value) =>
      typeof value === 'number' ? Number(value.toPrecision(15)) : value,
    );
  } catch (error) {
    const { name, code, meta } = error as Loose;
    return { name, code, model: meta?.modelName };
  }
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

  it('random reads', async () => {
    let found = 0;
    await fc.assert(
      fc.asyncProperty(randomRead, async (read) => {
        const [mine, expected] = await Promise.all([answer(our, read), answer(their, read)]);
        expect(mine).toEqual(expected);
        if (Array.isArray(expected) && expected.length > 0) found++;
      }),
      { seed: SEED, numRuns: RUNS, endOnFailure: false },
    );
    // Queries that find nothing compare nothing.
    expect(found).toBeGreaterThan(60);
  });
});
