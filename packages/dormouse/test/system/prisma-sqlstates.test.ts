import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_VERSIONS, type ClientVersion, type Loose } from '../support/clients.ts';
import type { Platform } from '../support/platform.ts';
import { runSql } from '../support/push-schema.ts';
import { repeatedly } from '../support/shop.ts';
import type { Target } from '../support/target.ts';
import { useBothTargets } from '../support/use-targets.ts';

// Every SQLSTATE that Postgres can raise is raised on purpose. The client must see the same error as with the vendor's
// engine.

/**
 * Raises the SQLSTATE that is in an account's owner field: alone, or with every field of an error if the balance is 1.
 */
const RAISING = `
CREATE FUNCTION raise_state(state text, full_fields boolean) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  IF full_fields THEN
    RAISE EXCEPTION USING ERRCODE = state, MESSAGE = 'raised "thing" on purpose', DETAIL = 'Key (a, "b c")=(1, 2) already exists.',
      HINT = 'a hint', COLUMN = 'balance', CONSTRAINT = 'accounts_rule', TABLE = 'accounts', SCHEMA = 'public';
  ELSE
    RAISE EXCEPTION USING ERRCODE = state, MESSAGE = 'raised "thing" on purpose';
  END IF;
END $$;
CREATE FUNCTION raise_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (TG_WHEN = 'BEFORE') = (NEW.owner NOT LIKE 'late %') THEN
    PERFORM raise_state(right(NEW.owner, 5), NEW.balance = 1);
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER raise_owner BEFORE INSERT OR UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION raise_owner();
CREATE CONSTRAINT TRIGGER raise_late AFTER INSERT ON accounts DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION raise_owner();
`;

const { ours, theirs } = useBothTargets(RAISING);

/** Every SQLSTATE that the servers' Postgres can raise, from its own list, and two that are not on the list. */
function statesOf({ platform }: Target): string[] {
  const builds = join((platform as Platform).data, 'postgres');
  const [build] = readdirSync(builds).filter((name) => /^\d/.test(name));
  const list = readFileSync(join(builds, build as string, 'share/postgresql/errcodes.txt'), 'utf8');
  const states = [...list.matchAll(/^([0-9A-Z]{5}) +E /gm)].map(([, state]) => state as string);
  return [...new Set([...states, '72000', 'ZZ999'])];
}

/** These are raised in every way, because more than one part of the engine has an error of its own for them. */
const WORDED = /^(22|23|28|40|53|57)|^42(501|703|P01|P02)$/;
/** The long limits are needed because the statements wait for each other's rows. */
const UNHURRIED = { timeout: 60_000, maxWait: 60_000 };

/** Errors that Postgres raises late: the statement itself has succeeded. */
const LATE_ASKS: Readonly<Record<string, (prisma: Loose, state: string) => Promise<unknown>>> = {
  'the end of a create': (prisma, state) => createLate(prisma, state),
  'a constraint set to be immediate': (prisma, state) =>
    prisma.$transaction(async (tx: Loose) => {
      await createLate(tx, state);
      await tx.$executeRaw`SET CONSTRAINTS ALL IMMEDIATE`;
    }, UNHURRIED),
};

/** Errors at a COMMIT that the platform sends. */
const COMMIT_ASKS: typeof LATE_ASKS = {
  'the COMMIT of a batch': (prisma, state) => prisma.$transaction([createLate(prisma, state), prisma.account.count()]),
  'the COMMIT of a batch of raw queries': (prisma, state) => {
    const owner = `late ${state}`;
    const insert = prisma.$executeRaw`INSERT INTO accounts (id, owner, balance) VALUES (1, ${owner}, 0)`;
    return prisma.$transaction([insert, prisma.$queryRaw`SELECT 1`]);
  },
  'the COMMIT of an interactive transaction': (prisma, state) =>
    prisma.$transaction(async (tx: Loose) => {
      await createLate(tx, state);
    }, UNHURRIED),
};

/** Removes the parts of an error that name the query. */
function bare({ code, message, meta }: Loose): Loose {
  const { modelName: _, ...rest } = meta ?? {};
  return {
    code,
    message: message?.replace(/^Invalid `.*` invocation:\s*|\nPrisma Accelerate has .*/g, ''),
    meta: rest,
  };
}

function createLate(prisma: Loose, state: string): Promise<unknown> {
  return prisma.account.create({ data: { id: 1, owner: `late ${state}`, balance: 0 } });
}

/** One state of each class, and every state that has an error of its own. */
function oneOfEach(states: readonly string[]): string[] {
  const classes = new Map(states.map((state) => [state.slice(0, 2), state]));
  return [
    ...new Set([
      ...classes.values(),
      ...states.filter((state) =>
        /^(?:22001|22003|22P02|23...|40...|42501|42703|42P01|53300|57014|57P01)$/.test(state),
      ),
    ]),
  ];
}

/** The number of requests at the same time. */
const AT_ONCE = 8;

/** A case in which the platform's error differs from the vendor's engine on purpose. */
interface Difference {
  readonly version: ClientVersion;
  readonly state: string;
  /** The code that the platform gives. */
  readonly code: string;
  readonly reason: string;
}

const DIFFERENCES: readonly Difference[] = [
  ...CLIENT_VERSIONS.map((version) => ({
    ...{ version, state: '23502', code: 'P2011' },
    reason: 'a quoted column keeps no quotes; and Prisma 6 is told the column that Postgres names beside the detail',
  })),
  ...[
    { state: '23505', code: 'P2002', reason: 'a quoted column keeps no quotes in its name' },
    {
      state: '23503',
      code: 'P2003',
      reason: 'meta.field_name beside meta.constraint, as the engine had it over its own connection',
    },
    {
      state: '23001',
      code: 'P2003',
      reason: 'Postgres 18 has a state of its own for RESTRICT, which the last engine of 6 did not know',
    },
    { state: '22P02', code: 'P2007', reason: 'a bad value has a code, as with Prisma 7' },
    { state: '40P01', code: 'P2034', reason: 'a deadlock is to be retried, and applications look for this code' },
    {
      state: '42703',
      code: 'P2022',
      reason: 'the column is taken from the sentence that Postgres writes, which this test does not',
    },
    {
      state: '28P01',
      code: 'P1000',
      reason: 'in the words of Prisma 7; a key never meets it, since the platform logs in',
    },
  ].map((each) => ({ version: 6 as const, ...each })),
];

/** The error as a client shows it. */
async function failure(query: Promise<unknown>): Promise<Loose> {
  try {
    return { value: await query };
  } catch (thrown) {
    const { name, code, message, meta } = thrown as Loose;
    return JSON.parse(JSON.stringify({ name, code, message: message.trim(), meta: meta ?? null }));
  }
}

const ASKS: Readonly<Record<string, (prisma: Loose, state: string) => Promise<unknown>>> = {
  'a create, bare': (prisma, owner) => prisma.account.create({ data: { id: 1, owner, balance: 0 } }),
  'a create, with all fields': (prisma, owner) => prisma.account.create({ data: { id: 1, owner, balance: 1 } }),
  'a createMany': (prisma, owner) => prisma.account.createMany({ data: [{ id: 1, owner, balance: 1 }] }),
  'a raw query': (prisma, state) => prisma.$queryRaw`SELECT raise_state(${state}, true)`,
  'a raw statement': (prisma, state) => prisma.$executeRaw`SELECT raise_state(${state}, false)`,
};

describe.each(CLIENT_VERSIONS)('every SQLSTATE through Prisma %i', (version: ClientVersion) => {
  /** The differences that have occurred. */
  const met = new Set<Difference>();
  let states: string[];
  let our: Loose;
  let their: Loose;
  beforeAll(() => {
    states = statesOf(ours.of(version));
    // The other error formats quote the source of the test.
    our = ours.of(version).open({ errorFormat: 'minimal' });
    their = theirs.of(version).open({ errorFormat: 'minimal' });
  });

  it('the tested SQLSTATEs are those on the list of Postgres', () => {
    expect(states.length).toBeGreaterThan(250);
    // 10608 is the newest state: new in Postgres 18.
    expect(states).toEqual(expect.arrayContaining(['23001', '23505', '40001', '57014', '10608', 'XX000']));
  });

  async function compare(ask: (prisma: Loose, state: string) => Promise<unknown>, state: string): Promise<void> {
    const mine = WORDED.test(state)
      ? await repeatedly(
          () => failure(ask(our, state)),
          (left, right) => expect(left).toEqual(right),
        )
      : await failure(ask(our, state));
    const expected = await failure(ask(their, state));
    expect(expected.value, state).toBeUndefined();
    const difference = DIFFERENCES.find((each) => each.version === version && each.state === state);
    if (difference === undefined) {
      expect(mine, state).toEqual(expected);
    } else {
      expect([difference.code, 'P2010'], state).toContain(mine.code);
      if (JSON.stringify(mine) !== JSON.stringify(expected)) met.add(difference);
    }
  }

  it.each(Object.entries(ASKS))('every SQLSTATE in %s gives the error of the vendor’s engine', async (_, ask) => {
    for (let at = 0; at < states.length; at += AT_ONCE) {
      await Promise.all(states.slice(at, at + AT_ONCE).map((state) => compare(ask, state)));
    }
    expect(await our.account.count()).toBe(0);
  });

  it('the SQLSTATE of a missing column gives the vendor’s error in every write', async () => {
    const rename = async (sql: string): Promise<void> => {
      for (const targets of [ours, theirs]) await runSql(targets.of(version).postgresUrl, sql);
    };
    await rename('ALTER TABLE accounts RENAME COLUMN balance TO "of relation"');
    const data = { id: 1, owner: 'x', balance: 0 };
    const writes: readonly ((prisma: Loose) => Promise<unknown>)[] = [
      (prisma) => prisma.account.create({ data }),
      (prisma) => prisma.account.createMany({ data: [data] }),
      (prisma) => prisma.account.createManyAndReturn({ data: [data] }),
      (prisma) => prisma.account.upsert({ where: { id: 1 }, create: data, update: data }),
      (prisma) => prisma.account.updateMany({ data: { balance: 1 } }),
      (prisma) => prisma.$executeRaw`UPDATE accounts SET balance = 1`,
      (prisma) => prisma.$transaction([prisma.account.updateMany({ data: { balance: 1 } })]),
    ];
    for (const write of writes) {
      const [mine, expected] = [await failure(write(our)), await failure(write(their))];
      expect(mine).toEqual(expected);
      expect(['P2022', 'P2010']).toContain(mine.code);
      if (version === 6 && mine.code === 'P2022') expect(mine.meta.column).toBe('balance');
    }
    await rename('ALTER TABLE accounts RENAME COLUMN "of relation" TO balance');
  });

  it.each(Object.entries(LATE_ASKS))(
    'an SQLSTATE of each class in %s gives the error of the vendor’s engine',
    async (_, ask) => {
      const few = oneOfEach(states);
      expect(few.length).toBeGreaterThan(40);
      for (let at = 0; at < few.length; at += AT_ONCE) {
        await Promise.all(few.slice(at, at + AT_ONCE).map((state) => compare(ask, state)));
      }
      expect(await our.account.count()).toBe(0);
    },
  );

  // The vendor's engines lose most errors of a COMMIT: 7 gives P6000 and a stack trace, 6 gives neither state nor code.
  // So the reference is the error of a statement.
  it.each(Object.entries(COMMIT_ASKS))(
    'every SQLSTATE in %s gives the same error as in a statement',
    async (name, ask) => {
      const few = oneOfEach(states);
      for (let at = 0; at < few.length; at += AT_ONCE) {
        await Promise.all(
          few.slice(at, at + AT_ONCE).map(async (state) => {
            const mine = bare(await failure(ask(our, state)));
            const expected = bare(await failure(their.account.create({ data: { id: 1, owner: state, balance: 0 } })));
            const difference = DIFFERENCES.find((each) => each.version === version && each.state === state);
            if (difference !== undefined) {
              expect(mine.code, state).toBe(difference.code);
              return;
            }
            if (version === 6 && name.includes('interactive')) {
              // Outside of queries the client of Prisma 6 shows no meta, and every error has a code.
              const { code = 'P2039', message } = expected;
              expect(mine, state).toEqual({ code, message, meta: {} });
            } else {
              expect(mine, state).toEqual(expected);
            }
          }),
        );
      }
      expect(await our.account.count()).toBe(0);
    },
  );

  it('every listed difference from the vendor’s engine has occurred', () => {
    expect(DIFFERENCES.filter((each) => each.version === version && !met.has(each))).toEqual([]);
  });
});
