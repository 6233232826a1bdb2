import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CLIENT_VERSIONS, type Loose } from '../support/clients.ts';
import { emptyTables } from '../support/library.ts';
import { targetKind } from '../support/target.ts';
import { failure, useTargets } from '../support/use-targets.ts';

const targets = useTargets();

describe.each(CLIENT_VERSIONS)('errors through the stock client of Prisma %i', (version) => {
  let prisma: Loose;
  let Prisma: Loose;
  /**
   * Prisma 6's own engine gives less detail over a driver adapter, as the reference runs it, than over its own
   * connection.
   */
  const bareOracle = version === 6 && targetKind() === 'vendor';

  beforeAll(() => {
    const target = targets.of(version);
    prisma = target.open();
    Prisma = target.module.Prisma;
  });
  beforeEach(async () => {
    await emptyTables(prisma);
    await prisma.user.create({ data: { email: 'a@example.com', posts: { create: { title: 'T' } } } });
  });

  /** Expects a known request error and returns its meta. */
  async function known(promise: Promise<unknown>, code: Loose, message: RegExp): Promise<Loose> {
    const error = await failure(promise);
    expect(error).toBeInstanceOf(Prisma.PrismaClientKnownRequestError);
    expect({ code: error.code, message: error.message }).toEqual({ code, message: expect.stringMatching(message) });
    return error.meta;
  }

  describe('P2002, a unique constraint', () => {
    it('a unique constraint of one field fails with P2002', async () => {
      const meta = await known(
        prisma.user.create({ data: { email: 'a@example.com' } }),
        'P2002',
        version === 6 ? /fields: \(`email`\)/ : /constraint: `users_email_key`/,
      );
      expect(meta.modelName).toBe('User');
      if (version === 6) expect(meta.target).toEqual(['email']);
      else
        expect(meta.driverAdapterError.cause).toMatchObject({
          originalCode: '23505',
          constraint: { index: 'users_email_key' },
        });
    });

    it('a unique constraint of several fields fails with P2002 in create, createMany, update and nested create', async () => {
      const data = { title: 'T', authorId: 1 };
      const other = await prisma.post.create({ data: { title: 'U', authorId: 1 } });
      for (const query of [
        () => prisma.post.create({ data }),
        () => prisma.post.createMany({ data: [data] }),
        () => prisma.post.update({ where: { id: other.id }, data: { title: 'T' } }),
        () => prisma.user.update({ where: { id: 1 }, data: { posts: { create: { title: 'T' } } } }),
      ]) {
        const meta = await known(
          query(),
          'P2002',
          version === 6 ? /fields: \(`author_id`,`title`\)/ : /constraint: `posts_author_id_title_key`/,
        );
        if (version === 6) expect(meta.target).toEqual(['author_id', 'title']);
      }
    });

    it('a duplicate primary key fails with P2002', async () => {
      await known(
        prisma.user.create({ data: { id: 1, email: 'b@example.com' } }),
        'P2002',
        version === 6 ? /fields: \(`id`\)/ : /constraint: `users_pkey`/,
      );
    });
  });

  describe('P2003, a foreign key', () => {
    it('a foreign key that refers to no row fails with P2003', async () => {
      const meta = await known(
        prisma.post.create({ data: { title: 'x', authorId: 99 } }),
        'P2003',
        /posts_author_id_fkey/,
      );
      expect(meta.modelName).toBe('Post');
      if (version === 6) expect(meta.constraint).toBe('posts_author_id_fkey');
      else
        expect(meta.driverAdapterError.cause).toMatchObject({
          originalCode: '23503',
          constraint: { index: 'posts_author_id_fkey' },
        });
    });

    it.skipIf(bareOracle)('a foreign key with RESTRICT makes a delete fail with P2003', async () => {
      const meta = await known(prisma.user.delete({ where: { id: 1 } }), 'P2003', /posts_author_id_fkey/);
      expect(meta.modelName).toBe('User');
      await known(prisma.user.deleteMany(), 'P2003', /posts_author_id_fkey/);
      expect(await prisma.user.count()).toBe(1);
    });
  });

  describe('P2025, a record that is not there', () => {
    it('update, delete and the OrThrow forms fail with P2025', async () => {
      const where = { id: 99 };
      const meta = await known(
        prisma.user.update({ where, data: { name: 'x' } }),
        'P2025',
        /No record was found for an update/,
      );
      expect(meta.modelName).toBe('User');
      if (version === 6) expect(meta.cause).toMatch(/No record was found for an update/);
      await known(prisma.user.delete({ where }), 'P2025', /No record was found for a delete/);
      await known(prisma.user.findUniqueOrThrow({ where }), 'P2025', /No record was found for a query|No User found/);
      await known(prisma.user.findFirstOrThrow({ where }), 'P2025', /No record was found for a query|No User found/);
    });

    it('nested writes to a missing record fail with P2025', async () => {
      const change = (data: object): Promise<unknown> => prisma.user.update({ where: { id: 1 }, data });
      await known(change({ profile: { delete: true } }), 'P2025', /No 'Profile' record was found for a nested delete/);
      await known(change({ manager: { connect: { id: 99 } } }), 'P2025', /No 'User' record/);
      await known(
        change({ posts: { update: { where: { id: 99 }, data: { views: 1 } } } }),
        'P2025',
        /No 'Post' record|No record was found/,
      );
      await known(change({ posts: { delete: { id: 99 } } }), expect.stringMatching(/^P20(17|25)$/), /./);
      await known(
        prisma.post.create({ data: { title: 'x', author: { connect: { id: 99 } } } }),
        'P2025',
        /No 'User' record/,
      );
    });

    it('a connect of several missing records fails with P2018', async () => {
      await known(
        prisma.user.update({ where: { id: 1 }, data: { posts: { connect: [{ id: 1 }, { id: 99 }] } } }),
        'P2018',
        /Expected 2 records to be connected/,
      );
    });
  });

  it('a change that would break a required relation fails with P2014', async () => {
    const meta = await known(
      prisma.user.update({ where: { id: 1 }, data: { posts: { set: [] } } }),
      'P2014',
      /'author'.*`Post`.*`User`/,
    );
    expect(meta.modelName).toBe('User');
    await known(
      prisma.user.update({ where: { id: 1 }, data: { posts: { disconnect: { id: 1 } } } }),
      'P2014',
      /required relation/,
    );
  });

  it('a value that is too long fails with P2000', async () => {
    const meta = await known(
      prisma.post.create({ data: { title: 'x'.repeat(61), authorId: 1 } }),
      'P2000',
      /too long for the column's type/,
    );
    expect(meta.modelName).toBe('Post');
  });

  it('a null that the table refuses fails with P2011', async () => {
    const meta = await known(prisma.sample.create({ data: { required: null } }), 'P2011', /Null constraint violation/);
    expect(meta.modelName).toBe('Sample');
    if (version === 6 && !bareOracle) expect(meta.constraint).toEqual(['required']);
  });

  it('a number out of range is refused', async () => {
    const error = await failure(prisma.sample.create({ data: { required: 'x', small: 40000 } }));
    expect(error.code ?? error.name).toMatch(/P2020|P2033|PrismaClientUnknownRequestError/);
    expect(error.message).toMatch(/out of range|Unable to fit|smallint/);
  });

  describe('P2010, a raw query', () => {
    it.each([
      ['a table that is not there', 'SELECT * FROM nowhere', '42P01', /nowhere/],
      ['a syntax error', 'SELEKT 1', '42601', /SELEKT/],
      ['a division by zero', 'SELECT 1 / 0', '22012', /division by zero/],
      ['a column that is not there', 'SELECT none FROM users', '42703', /none/],
    ])('a raw query with %s fails with P2010', async (_, sql, sqlstate, message) => {
      const meta = await known(prisma.$queryRawUnsafe(sql), 'P2010', message);
      if (version === 6) expect(meta).toEqual({ code: sqlstate, message: expect.stringMatching(message) });
      else expect(meta.driverAdapterError.cause).toMatchObject({ originalCode: sqlstate });
      expect(await failure(prisma.$executeRawUnsafe(sql))).toMatchObject({ code: 'P2010' });
    });

    it('a raw query that violates a constraint fails with P2010', async () => {
      const error = await failure(
        prisma.$executeRaw`INSERT INTO users (email, updated_at) VALUES ('a@example.com', now())`,
      );
      expect(error.code).toBe('P2010');
      expect(error.message).toMatch(/23505/);
    });
  });

  describe('queries that the client or the schema refuses', () => {
    it('an unknown argument, a wrong type and a missing field are refused', async () => {
      for (const query of [
        () => prisma.user.findMany({ where: { nothing: 1 } }),
        () => prisma.user.create({ data: { email: 5 } }),
        () => prisma.user.create({ data: {} }),
        () => prisma.user.findUnique({ where: { name: 'x' } }),
        () => prisma.user.findMany({ take: 'x' }),
        () => prisma.user.findMany({ where: { role: 'NOBODY' } }),
        () => prisma.user.findMany({ select: { id: true }, include: { posts: true } }),
      ]) {
        expect((await failure(query())).name).toBe('PrismaClientValidationError');
      }
    });

    it('a text with a zero byte is refused', async () => {
      const error = await failure(prisma.user.create({ data: { email: 'a\u0000b' } }));
      expect(error.message).toMatch(/0x00|null character|invalid byte|NUL/i);
      expect(await prisma.user.count()).toBe(1);
    });
  });

  it('the query after an error succeeds', async () => {
    for (let round = 0; round < 30; round++) await failure(prisma.$queryRaw`SELECT 1 / 0`);
    expect(await prisma.user.count()).toBe(1);
  });
});
