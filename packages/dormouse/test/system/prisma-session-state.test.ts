import { Client } from 'pg';
import { describe, expect, it } from 'vitest';
import { CLIENT_VERSIONS, type Loose } from '../support/clients.ts';
import { runSql } from '../support/push-schema.ts';
import { useTargets } from '../support/use-targets.ts';

// State that a trigger or function leaves in the session of one request does not reach the next, whatever kind of
// request it was.

const targets = useTargets({ kind: 'platform' });

const TRIGGER = `
CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  PERFORM set_config('app.tenant', NEW.owner, false); RETURN NEW; END$$;
CREATE TRIGGER remember BEFORE INSERT OR UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION remember();`;

const data = { id: 1, owner: 'other', balance: 0 };
const REQUESTS: Readonly<Record<string, (prisma: Loose) => Promise<unknown>>> = {
  'a create': (prisma) => prisma.account.create({ data }),
  'an update': async (prisma) => {
    await prisma.account.create({ data });
    await prisma.account.update({ where: { id: 1 }, data: { owner: 'another' } });
  },
  'a createMany': (prisma) => prisma.account.createMany({ data: [data] }),
  'an upsert': (prisma) => prisma.account.upsert({ where: { id: 1 }, create: data, update: { owner: 'x' } }),
  'a raw statement': (prisma) => prisma.$executeRaw`INSERT INTO accounts (id, owner, balance) VALUES (1, 'other', 0)`,
  'a raw query that writes': (prisma) =>
    prisma.$queryRaw`WITH made AS (INSERT INTO accounts (id, owner, balance) VALUES (1, 'other', 0) RETURNING id) SELECT id FROM made`,
  'a raw text of two statements': (prisma) =>
    prisma.$executeRawUnsafe(`SELECT 1; INSERT INTO accounts (id, owner, balance) VALUES (1, 'other', 0)`),
  'a batch': (prisma) => prisma.$transaction([prisma.account.count(), prisma.account.create({ data })]),
  'an interactive transaction': (prisma) => prisma.$transaction((tx: Loose) => tx.account.create({ data })),
  'one that is rolled back by its application': (prisma) =>
    prisma
      .$transaction(async (tx: Loose) => {
        await tx.account.create({ data });
        throw new Error('mine');
      })
      .catch(() => undefined),
};

describe.each(CLIENT_VERSIONS)('sessions behind Prisma %i', (version) => {
  /** The last statement on each pooled connection. */
  async function lastStatements(): Promise<string[]> {
    const client = new Client({ connectionString: targets.of(version).postgresUrl });
    await client.connect();
    const { rows } = await client.query(
      `SELECT query FROM pg_stat_activity WHERE application_name = 'dormouse' AND usename = 'owner'`,
    );
    await client.end();
    return rows.map(({ query }) => query as string);
  }

  it('sessions are not reset in a database without code of its own', async () => {
    const prisma = targets.of(version).open();
    for (let i = 0; i < 4; i++) {
      await prisma.account.create({ data: { ...data, id: 100 + i } });
      await prisma.account.findMany();
    }
    await prisma.account.deleteMany();
    const last = await lastStatements();
    expect(last.length).toBeGreaterThan(0);
    expect(last.filter((query) => /RESET ALL/.test(query))).toEqual([]);
  });

  it.each(Object.entries(REQUESTS))('sessions keep no state after %s', async (name, ask) => {
    const { postgresUrl, open } = targets.of(version);
    if (name === 'a create') await runSql(postgresUrl, TRIGGER);
    const prisma = open();
    for (let round = 0; round < 3; round++) {
      await prisma.account.deleteMany();
      await ask(prisma);
      // Several queries run at once, so that every pooled connection is checked.
      const found = await Promise.all(
        Array.from(
          { length: 3 },
          () => prisma.$queryRaw`SELECT coalesce(current_setting('app.tenant', true), '') AS tenant`,
        ),
      );
      expect(found.flat().map((row: Loose) => row.tenant)).toEqual(['', '', '']);
    }
  });
});
