import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CLIENT_VERSIONS, type ClientVersion, type Loose } from '../support/clients.ts';
import { emptyTables } from '../support/library.ts';
import { until } from '../support/until.ts';
import { useBothTargets } from '../support/use-targets.ts';

// How a transaction can end with an error: code and message are those of the vendor's engine.
const TERMINATING = `
CREATE FUNCTION terminates() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  IF NEW.owner = 'terminate' THEN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(20); END IF; RETURN NEW; END$$;
CREATE TRIGGER terminates BEFORE INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION terminates();`;

const { ours, theirs } = useBothTargets(TERMINATING);

/** The error as a client shows it, without the parts that differ each time. */
async function failure(asked: Promise<unknown>): Promise<Loose> {
  try {
    return { value: await asked };
  } catch (thrown) {
    const { name, code, message, meta } = thrown as Loose;
    const plain = JSON.stringify({ name, code, message: String(message).trim(), meta: meta ?? null });
    return JSON.parse(plain.replace(/\b\d+ ms/g, 'N ms').replace(/"timeTaken":\d+/, '"timeTaken":0'));
  }
}

/** Waits, outside the transaction, until it has timed out: the lock on its row is then free. */
async function isOver(prisma: Loose): Promise<void> {
  await prisma.$queryRaw`SELECT id FROM accounts WHERE id = 1 FOR UPDATE`;
}

const update = (client: Loose): Promise<unknown> =>
  client.account.update({ where: { id: 1 }, data: { balance: { increment: 1 } } });

type Ending = (prisma: Loose) => Promise<unknown>;
const ENDINGS: Readonly<Record<string, Ending>> = {
  'a query after the commit': async (prisma) => {
    let kept: Loose;
    await prisma.$transaction(async (tx: Loose) => {
      kept = tx;
      await update(tx);
    });
    return update(kept);
  },
  'a query after a rollback': async (prisma) => {
    let kept: Loose;
    await prisma
      .$transaction(async (tx: Loose) => {
        kept = tx;
        await update(tx);
        throw new Error('mine');
      })
      .catch(() => {});
    return update(kept);
  },
  'a query after its time': (prisma) =>
    prisma.$transaction(
      async (tx: Loose) => {
        await update(tx);
        await isOver(prisma);
        return update(tx);
      },
      { timeout: 400, maxWait: 20_000 },
    ),
  'a commit after its time': (prisma) =>
    prisma.$transaction(
      async (tx: Loose) => {
        await update(tx);
        await isOver(prisma);
      },
      { timeout: 400, maxWait: 20_000 },
    ),
  'a throw after its time': (prisma) =>
    prisma.$transaction(
      async (tx: Loose) => {
        await update(tx);
        await isOver(prisma);
        throw new Error('mine');
      },
      { timeout: 400, maxWait: 20_000 },
    ),
  'a query after a failed one': (prisma) =>
    prisma.$transaction(async (tx: Loose) => {
      await tx.$executeRaw`SELECT nobody`.catch(() => {});
      return tx.account.count();
    }),
  'a level of isolation that is none': (prisma) =>
    prisma.$transaction(async (tx: Loose) => tx.account.count(), { isolationLevel: 'Chaos' }),
  'a batch with a level of isolation that is none': (prisma) =>
    prisma.$transaction([prisma.account.count()], { isolationLevel: 'Chaos' }),
  'a batch that fails': (prisma) =>
    prisma.$transaction([prisma.account.count(), prisma.account.create({ data: { id: 1, owner: 'again' } })]),
};

/** Postgres ends the session during a statement: the client gets the last error of Postgres, with the vendor's code. */
const FATAL_ENDINGS: Readonly<Record<string, Ending>> = {
  'a statement whose session is terminated': (prisma) =>
    prisma.$queryRaw`SELECT pg_terminate_backend(pg_backend_pid())`,
  'a write whose session is terminated': (prisma) => prisma.account.create({ data: { id: 2, owner: 'terminate' } }),
  'a statement past transaction_timeout': (prisma) =>
    prisma.$transaction(async (tx: Loose) => {
      await tx.$executeRaw`SET LOCAL transaction_timeout = 200`;
      return tx.$queryRaw`SELECT pg_sleep(20)::text`;
    }, UNHURRIED),
  'a statement past statement_timeout': (prisma) =>
    prisma.$transaction(async (tx: Loose) => {
      await tx.$executeRaw`SET LOCAL statement_timeout = 200`;
      return tx.$queryRaw`SELECT pg_sleep(20)::text`;
    }, UNHURRIED),
};
const UNHURRIED = { timeout: 60_000, maxWait: 20_000 };
/**
 * Postgres ends the session between two statements. The vendor's engines lose the error of Postgres (and give P6000, or
 * an error of the driver).
 */
const IDLE_ENDINGS: Readonly<Record<string, readonly [set: string, said: RegExp]>> = {
  idle_in_transaction_session_timeout: [
    'SET LOCAL idle_in_transaction_session_timeout = 50',
    /25P03.*idle-in-transaction timeout/,
  ],
  transaction_timeout: ['SET LOCAL transaction_timeout = 300', /25P04.*transaction timeout/],
};

/** Endings for which Prisma 6 drops the `meta` of a reply that comes over HTTP. */
const META_DROPPED: readonly string[] = ['a commit after its time', 'a level of isolation that is none'];

describe.each(CLIENT_VERSIONS)('a transaction of Prisma %i', (version: ClientVersion) => {
  let our: Loose;
  let their: Loose;
  beforeAll(() => {
    our = ours.of(version).open({ errorFormat: 'minimal' });
    their = theirs.of(version).open({ errorFormat: 'minimal' });
  });
  beforeEach(async () => {
    for (const prisma of [our, their]) {
      await emptyTables(prisma);
      await prisma.account.create({ data: { id: 1, owner: 'a' } });
    }
  });

  it.each(Object.entries(ENDINGS))('%s gives the same result as with the vendor’s engine', async (name, end) => {
    const [mine, expected] = [await failure(end(our)), await failure(end(their))];
    // The vendor's engine forgets a transaction soon after its end, and then gives another message.
    if (/Transaction not found/.test(expected.message)) {
      expect(mine).toMatchObject({ code: expected.code, message: expect.stringMatching(/cannot be executed on a/) });
      return;
    }
    const dropped = version === 6 && META_DROPPED.includes(name);
    expect(mine).toEqual(dropped ? { ...expected, meta: null } : expected);
  });

  it.each(Object.entries(FATAL_ENDINGS))(
    '%s fails with the error of Postgres and the vendor’s code',
    async (_, end) => {
      const [mine, expected] = [await failure(end(our)), await failure(end(their))];
      expect(expected.message).toMatch(/57P01|25P04|57014/);
      expect(mine).toEqual(expected);
      expect(await our.account.count()).toBe(1);
    },
  );

  it.each(Object.entries(IDLE_ENDINGS))(
    '%s between two statements ends the transaction with the reason of Postgres',
    async (_, [set, said]) => {
      const ended = (after: (tx: Loose) => Promise<unknown>): Promise<Loose> =>
        failure(
          our.$transaction(async (tx: Loose) => {
            const [{ pid }] = await tx.$queryRaw`SELECT pg_backend_pid() AS pid`;
            await update(tx);
            await tx.$executeRawUnsafe(set);
            await until(
              async () => (await our.$queryRaw`SELECT 1 FROM pg_stat_activity WHERE pid = ${pid}`).length === 0,
              {
                what: 'the end of the session',
              },
            );
            return after(tx);
          }, UNHURRIED),
        );
      expect((await ended((tx) => tx.account.count())).message).toMatch(
        said.source.includes('25P03') ? /25P03/ : /25P04/,
      );
      expect(await ended((tx) => tx.$queryRaw`SELECT 1`)).toMatchObject({
        code: 'P2010',
        message: expect.stringMatching(said),
      });
      // The same holds for a COMMIT without further statements.
      expect((await ended(async () => 1)).message).toMatch(said.source.includes('25P03') ? /25P03/ : /25P04/);
      // An error of the application reaches the caller unchanged, because the rollback has happened.
      expect(
        await ended(async () => {
          throw new Error('mine');
        }),
      ).toMatchObject({ message: 'mine' });
      // The update of the ended transaction has left no trace.
      expect((await our.account.findUnique({ where: { id: 1 } })).balance).toBe(
        (await their.account.findUnique({ where: { id: 1 } })).balance,
      );
    },
  );

  it('a batch whose session ends fails with the reason', async () => {
    const batch = await failure(
      our.$transaction([
        our.$executeRaw`SET LOCAL transaction_timeout = 200`,
        our.$queryRaw`SELECT pg_sleep(20)::text`,
      ]),
    );
    expect(batch).toMatchObject({ code: 'P2010', message: expect.stringContaining('25P04') });
  });
});
