import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_VERSIONS, type ClientVersion, type Loose } from '../support/clients.ts';
import { runSql } from '../support/push-schema.ts';
import { repeatedly } from '../support/shop.ts';
import { startTargets, type Targets } from '../support/target.ts';

// Every kind of failure that Postgres can raise, raised on purpose: the client sees what it sees with the vendor's engine.
let ours: Targets;
let theirs: Targets;
beforeAll(async () => {
  ours = await startTargets({ kind: 'platform' });
  theirs = await startTargets({ kind: 'vendor' });
  for (const targets of [ours, theirs]) {
    for (const version of CLIENT_VERSIONS) await runSql(targets.of(version).postgresUrl, RAISING);
  }
});
afterAll(async () => {
  await ours?.stop();
  await theirs?.stop();
});

/** Raises the SQLSTATE that an account's owner names: bare, or (balance 1) with all that an error may carry. */
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
  PERFORM raise_state(NEW.owner, NEW.balance = 1);
  RETURN NEW;
END $$;
CREATE TRIGGER raise_owner BEFORE INSERT OR UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION raise_owner();
`;

/** At least one state of each class, and each that an engine has a word of its own for. 23001 and 42501 among them. */
const STATES = [
  ...[
    '03000',
    '08000',
    '08001',
    '08003',
    '08006',
    '08P01',
    '09000',
    '0A000',
    '0B000',
    '0F000',
    '0L000',
    '0P000',
    '0Z000',
  ],
  ...[
    '20000',
    '21000',
    '22000',
    '22001',
    '22003',
    '22004',
    '22007',
    '22008',
    '22012',
    '22023',
    '22026',
    '2200M',
    '22P02',
  ],
  ...[
    '22P03',
    '22P05',
    '22021',
    '22032',
    '23000',
    '23001',
    '23502',
    '23503',
    '23505',
    '23514',
    '23P01',
    '24000',
    '25000',
  ],
  ...[
    '25001',
    '25006',
    '25P01',
    '25P02',
    '25P03',
    '25P04',
    '26000',
    '27000',
    '28000',
    '28P01',
    '2B000',
    '2BP01',
    '2D000',
  ],
  ...[
    '2F000',
    '2F005',
    '34000',
    '38000',
    '39000',
    '39P01',
    '3B000',
    '3D000',
    '3F000',
    '40000',
    '40001',
    '40002',
    '40003',
  ],
  ...[
    '40P01',
    '42000',
    '42501',
    '42601',
    '42602',
    '42622',
    '42701',
    '42702',
    '42703',
    '42704',
    '42725',
    '42803',
    '42804',
  ],
  ...[
    '42809',
    '42883',
    '42P01',
    '42P02',
    '42P04',
    '42P07',
    '42P10',
    '42P18',
    '42P22',
    '44000',
    '53000',
    '53100',
    '53200',
  ],
  ...[
    '53300',
    '53400',
    '54000',
    '54001',
    '54011',
    '54023',
    '55000',
    '55006',
    '55P02',
    '55P03',
    '55P04',
    '57000',
    '57014',
  ],
  ...[
    '57P01',
    '57P02',
    '57P03',
    '57P04',
    '57P05',
    '58000',
    '58030',
    '58P01',
    '72000',
    'F0000',
    'HV000',
    'P0001',
    'P0002',
  ],
  ...['P0003', 'P0004', 'XX000', 'XX001', 'XX002', 'ZZ999'],
];

/** Where we say something else than the vendor's engine, on purpose. */
interface Difference {
  readonly version: ClientVersion;
  readonly state: string;
  /** What ours says. */
  readonly code: string;
  readonly reason: string;
}

const DIFFERENCES: readonly Difference[] = [
  ...CLIENT_VERSIONS.map((version) => ({
    ...{ version, state: '42501', code: 'P1010' },
    reason: 'refused for the role of the key: an access error that says which role would do',
  })),
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

/** What a client shows of a failure. */
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
  /** Differences met. */
  const met = new Set<Difference>();

  it.each(Object.entries(ASKS))('in %s', async (_, ask) => {
    // The other formats quote the test's own source.
    const our = ours.of(version).open({ errorFormat: 'minimal' });
    const their = theirs.of(version).open({ errorFormat: 'minimal' });
    for (const state of STATES) {
      const mine = await repeatedly(
        () => failure(ask(our, state)),
        (left, right) => expect(left).toEqual(right),
      );
      const expected = await failure(ask(their, state));
      const difference = DIFFERENCES.find((each) => each.version === version && each.state === state);
      if (difference === undefined) {
        expect(mine, state).toEqual(expected);
      } else {
        expect([difference.code, 'P2010'], state).toContain(mine.code);
        if (JSON.stringify(mine) !== JSON.stringify(expected)) met.add(difference);
      }
    }
    expect(await our.account.count()).toBe(0);
  });

  it('differs nowhere without need', () => {
    expect(DIFFERENCES.filter((each) => each.version === version && !met.has(each))).toEqual([]);
  });
});
