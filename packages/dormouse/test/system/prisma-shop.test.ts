import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CLIENT_VERSIONS, type Loose, requireOf } from '../support/clients.ts';
import { runSql } from '../support/push-schema.ts';
import { emptyShop, repeatedly, SHOP, USES } from '../support/shop.ts';
import { startTargets, type Targets } from '../support/target.ts';

let targets: Targets;
beforeAll(async () => {
  targets = await startTargets({ world: SHOP });
});
afterAll(() => targets?.stop());

const strategies = ['join', 'query'] as const;
const same = (left: unknown, right: unknown): void => expect(left).toEqual(right);
const again = (ask: () => Promise<Loose>): Promise<Loose> => repeatedly(ask, same);

describe.each(CLIENT_VERSIONS)('two Postgres schemas through the stock client of Prisma %i', (version) => {
  let prisma: Loose;
  let Prisma: Loose;
  beforeAll(() => {
    const target = targets.of(version);
    prisma = target.open();
    Prisma = target.module.Prisma;
  });
  beforeEach(async () => {
    await emptyShop(prisma);
    await prisma.item.createMany({
      data: [
        { name: 'rope', description: 'A strong rope of hemp', unit: 'PIECE', units: ['PIECE'], code: 'R1', small: 7 },
        { name: 'rice', description: 'Rice from the north', unit: 'KILO', units: ['KILO', 'PIECE'], ratio: 0.5 },
        { name: 'lamp', description: 'A lamp, strong and bright', unit: 'PIECE' },
      ],
    });
    await prisma.customer.create({
      data: {
        email: 'ada@example.com',
        likes: { connect: [{ id: 1 }, { id: 3 }] },
        notes: { create: { text: 'pays', twin: { create: { text: 'sturdy', itemId: 1 } } } },
        orders: {
          create: [
            {
              number: 'A1',
              status: 'PAID',
              history: ['NEW', 'PAID'],
              placedAt: new Date('2024-02-01T10:00:00.123Z'),
              lines: {
                create: [
                  { itemId: 1, quantity: '2.5', price: '9.99', parcels: { create: { label: 'one' } } },
                  { itemId: 2, quantity: 4 },
                ],
              },
            },
            { number: 'A2', status: 'GONE', history: [] },
          ],
        },
      },
    });
  });

  describe('relations across schemas', () => {
    it.each(strategies)('relations across schemas are read by %s, in both directions', async (relationLoadStrategy) => {
      const down = await again(() =>
        prisma.customer.findMany({
          relationLoadStrategy,
          where: {
            likes: { some: { name: 'rope' } },
            orders: { some: { lines: { some: { item: { unit: 'KILO' } } } } },
          },
          select: {
            email: true,
            likes: { orderBy: { id: 'asc' }, select: { name: true } },
            notes: { select: { text: true, twin: { select: { text: true, item: { select: { name: true } } } } } },
            orders: {
              orderBy: { id: 'asc' },
              select: {
                status: true,
                history: true,
                lines: {
                  orderBy: { itemId: 'asc' },
                  select: {
                    quantity: true,
                    item: { select: { name: true, unit: true } },
                    parcels: { select: { label: true } },
                  },
                },
              },
            },
          },
        }),
      );
      expect(JSON.parse(JSON.stringify(down))).toEqual([
        {
          email: 'ada@example.com',
          likes: [{ name: 'rope' }, { name: 'lamp' }],
          notes: [{ text: 'pays', twin: { text: 'sturdy', item: { name: 'rope' } } }],
          orders: [
            {
              status: 'PAID',
              history: ['NEW', 'PAID'],
              lines: [
                { quantity: '2.5', item: { name: 'rope', unit: 'PIECE' }, parcels: [{ label: 'one' }] },
                { quantity: '4', item: { name: 'rice', unit: 'KILO' }, parcels: [] },
              ],
            },
            { status: 'GONE', history: [], lines: [] },
          ],
        },
      ]);
      const up = await again(() =>
        prisma.parcel.findMany({
          relationLoadStrategy,
          where: { line: { order: { customer: { email: { endsWith: 'example.com' } } } } },
          include: { line: { include: { order: { include: { customer: { include: { _count: true } } } } } } },
        }),
      );
      expect(up).toHaveLength(1);
      expect(up[0].line.price.toFixed(2)).toBe('9.99');
      expect(up[0].line.order).toMatchObject({ number: 'A1    ', placedAt: new Date('2024-02-01T10:00:00.123Z') });
      expect(up[0].line.order.customer).toMatchObject({
        email: 'ada@example.com',
        _count: { orders: 2, likes: 2, notes: 1 },
      });
    });

    it('tables of the same name in two schemas are kept apart', async () => {
      for (let use = 1; use <= USES; use++) {
        await prisma.salesNote.create({ data: { text: `sales ${use}` } });
        await prisma.stockNote.create({ data: { text: `stock ${use}`, twin: { connect: { id: use + 1 } } } });
        expect(await prisma.salesNote.count()).toBe(1 + use);
        expect(await prisma.stockNote.findMany({ orderBy: { id: 'asc' }, select: { text: true } })).toHaveLength(
          1 + use,
        );
        expect(
          await prisma.stockNote.findUnique({
            where: { twinId: use + 1 },
            select: { text: true, twin: { select: { text: true } } },
          }),
        ).toEqual({
          text: `stock ${use}`,
          twin: { text: `sales ${use}` },
        });
      }
      await prisma.salesNote.deleteMany({ where: { twin: { text: 'stock 2' } } });
      expect(await prisma.stockNote.count({ where: { text: 'stock 2' } })).toBe(0);
      expect(await prisma.stockNote.count()).toBe(USES);
    });

    it('relations across schemas are written three levels deep', async () => {
      for (let use = 0; use < USES; use++) {
        const email = `deep-${use}@example.com`;
        const created = await prisma.customer.create({
          data: {
            email,
            orders: {
              create: {
                number: `D${use}`,
                lines: {
                  create: {
                    item: {
                      connectOrCreate: { where: { name: `new-${use}` }, create: { name: `new-${use}`, unit: 'KILO' } },
                    },
                    parcels: { create: [{ label: 'a' }, { label: 'b' }] },
                  },
                },
              },
            },
          },
          include: { orders: { include: { lines: { include: { item: true, parcels: { orderBy: { id: 'asc' } } } } } } },
        });
        const [order] = created.orders;
        const [line] = order.lines;
        expect(line.item).toMatchObject({ name: `new-${use}`, unit: 'KILO' });
        expect(line.parcels.map((parcel: Loose) => parcel.label)).toEqual(['a', 'b']);
        const key = { orderId_itemId: { orderId: order.id, itemId: line.itemId } };
        const updated = await prisma.customer.update({
          where: { email },
          data: {
            orders: {
              update: {
                where: { slot: { customerId: created.id, status: 'NEW', number: `D${use}` } },
                data: {
                  status: { set: 'PAID' },
                  history: { push: ['NEW', 'PAID'] },
                  lines: {
                    update: {
                      where: key,
                      data: {
                        quantity: { increment: '0.125' },
                        item: { update: { units: { push: 'KILO' } } },
                        parcels: {
                          deleteMany: { label: 'a' },
                          updateMany: { where: { label: 'b' }, data: { label: 'c' } },
                        },
                      },
                    },
                    upsert: {
                      where: { orderId_itemId: { orderId: order.id, itemId: 3 } },
                      create: { itemId: 3, parcels: { createMany: { data: [{ label: 'x' }, { label: 'y' }] } } },
                      update: { quantity: 9 },
                    },
                  },
                },
              },
            },
          },
          include: {
            orders: {
              include: {
                lines: { orderBy: { itemId: 'asc' }, include: { item: true, parcels: { orderBy: { label: 'asc' } } } },
              },
            },
          },
        });
        expect(updated.orders[0]).toMatchObject({ status: 'PAID', history: ['NEW', 'PAID'] });
        const [lamp, fresh] = updated.orders[0].lines;
        expect(lamp.parcels.map((parcel: Loose) => parcel.label)).toEqual(['x', 'y']);
        expect(fresh.quantity.toString()).toBe('1.125');
        expect(fresh.item.units).toEqual(['KILO']);
        expect(fresh.parcels.map((parcel: Loose) => parcel.label)).toEqual(['c']);
        await prisma.customer.delete({ where: { email } });
        expect(await prisma.parcel.count({ where: { line: { order: { customer: { email } } } } })).toBe(0);
        expect(await prisma.parcel.count()).toBe(1);
      }
    });
  });

  describe('enums under other names', () => {
    it('enums under other names work in conditions, orders, lists, groups and uniques', async () => {
      const numbers = async (where: object): Promise<string> =>
        (
          (await again(() =>
            prisma.order.findMany({ where, orderBy: { id: 'asc' }, select: { number: true } }),
          )) as Loose[]
        )
          .map((order) => order.number.trim())
          .join();
      expect(await numbers({ status: 'PAID' })).toBe('A1');
      expect(await numbers({ status: { in: ['PAID', 'GONE'] } })).toBe('A1,A2');
      expect(await numbers({ status: { notIn: ['PAID'] } })).toBe('A2');
      expect(await numbers({ NOT: { status: 'GONE' } })).toBe('A1');
      expect(await numbers({ history: { has: 'PAID' } })).toBe('A1');
      expect(await numbers({ history: { hasEvery: ['NEW', 'PAID'] } })).toBe('A1');
      expect(await numbers({ history: { hasSome: ['GONE'] } })).toBe('');
      expect(await numbers({ history: { equals: ['NEW', 'PAID'] } })).toBe('A1');
      expect(await numbers({ history: { isEmpty: true } })).toBe('A2');
      expect(
        await again(() => prisma.order.findMany({ orderBy: { status: 'desc' }, select: { status: true } })),
      ).toEqual([{ status: 'GONE' }, { status: 'PAID' }]);
      expect(
        await again(() =>
          prisma.order.findMany({ distinct: ['status'], orderBy: { status: 'asc' }, select: { status: true } }),
        ),
      ).toEqual([{ status: 'PAID' }, { status: 'GONE' }]);
      expect(
        await again(() => prisma.order.groupBy({ by: ['status'], _count: true, orderBy: { status: 'asc' } })),
      ).toEqual([
        { status: 'PAID', _count: 1 },
        { status: 'GONE', _count: 1 },
      ]);
      expect(
        await again(() => prisma.order.aggregate({ _min: { status: true, number: true }, _max: { status: true } })),
      ).toEqual({
        _min: { status: 'PAID', number: 'A1    ' },
        _max: { status: 'GONE' },
      });
      expect(
        await again(() =>
          prisma.order.findUnique({
            where: { slot: { customerId: 1, status: 'GONE', number: 'A2' } },
            select: { id: true },
          }),
        ),
      ).toEqual({ id: 2 });
      const both = await again(() =>
        Promise.all(
          ['PAID', 'GONE', 'NEW'].map((status) =>
            prisma.order.findUnique({
              where: { slot: { customerId: 1, status, number: 'A2    ' } },
              select: { status: true },
            }),
          ),
        ),
      );
      expect(both).toEqual([null, { status: 'GONE' }, null]);
    });

    it('enums under other names work in every kind of write', async () => {
      for (let use = 0; use < USES; use++) {
        const base = { customerId: 1, history: ['GONE', 'NEW'] };
        expect(await prisma.order.create({ data: { ...base, number: `a${use}`, status: 'GONE' } })).toMatchObject({
          status: 'GONE',
          history: ['GONE', 'NEW'],
        });
        expect(
          await prisma.order.createMany({
            data: [
              { ...base, number: `b${use}`, status: 'PAID' },
              { ...base, number: `c${use}` },
            ],
          }),
        ).toEqual({ count: 2 });
        expect(
          await prisma.order.createManyAndReturn({
            data: [{ ...base, number: `d${use}`, status: 'PAID' }],
            select: { status: true, history: true },
          }),
        ).toEqual([{ status: 'PAID', history: ['GONE', 'NEW'] }]);
        expect(
          await prisma.order.update({
            where: { number: `c${use}` },
            data: { status: 'PAID', history: { set: ['PAID'] } },
            select: { status: true, history: true },
          }),
        ).toEqual({
          status: 'PAID',
          history: ['PAID'],
        });
        expect(
          await prisma.order.updateMany({
            where: { number: { in: [`b${use}`, `c${use}`] }, status: 'PAID' },
            data: { status: 'GONE' },
          }),
        ).toEqual({ count: 2 });
        expect(
          await prisma.order.updateManyAndReturn({
            where: { number: `b${use}` },
            data: { history: { push: 'PAID' } },
            select: { status: true, history: true },
          }),
        ).toEqual([{ status: 'GONE', history: ['GONE', 'NEW', 'PAID'] }]);
        const upsert = (): Promise<Loose> =>
          prisma.order.upsert({
            where: { number: `e${use}` },
            create: { ...base, number: `e${use}`, status: 'PAID' },
            update: { status: 'GONE' },
            select: { status: true },
          });
        expect([await upsert(), await upsert()]).toEqual([{ status: 'PAID' }, { status: 'GONE' }]);
        expect(
          await prisma.order.delete({ where: { number: `e${use}` }, select: { status: true, history: true } }),
        ).toEqual({ status: 'GONE', history: ['GONE', 'NEW'] });
        expect(await prisma.order.deleteMany({ where: { status: 'PAID', number: { not: 'A1' } } })).toEqual({
          count: 1,
        });
      }
    });

    it('a value that the enum type does not have gives one clear error', async () => {
      const { postgresUrl } = targets.of(version);
      // A value was added to the type since the client was generated: the client's schema has no name for it.
      await runSql(postgresUrl, `ALTER TYPE sales.order_status ADD VALUE IF NOT EXISTS 'lost'`);
      await runSql(postgresUrl, `UPDATE sales.orders SET status = 'lost' WHERE number = 'A2'`);
      for (let use = 0; use < USES; use++) {
        await expect(prisma.order.findMany({ orderBy: { id: 'asc' } })).rejects.toThrow(/'?lost'?.* not found in enum/);
        expect(await prisma.order.count()).toBe(2);
      }
    });
  });

  it('native types keep their values through every operation', async () => {
    for (let use = 1; use <= USES; use++) {
      const data = {
        name: `native-${use}`,
        code: 'ab',
        small: -32768,
        ratio: 0.25,
        day: new Date('2024-02-29T00:00:00Z'),
        opens: new Date('1970-01-01T08:30:00Z'),
        address: '192.168.0.1/24',
        mask: '1010',
        tag: `0000000${use}-0000-4000-8000-000000000000`,
        document: { b: 1, a: [null, 'x'] },
      };
      const expected = { ...data, code: 'ab  ' };
      expect(await prisma.item.create({ data })).toMatchObject(expected);
      expect(await prisma.item.findUnique({ where: { tag: data.tag } })).toMatchObject(expected);
      const { document: _, ...where } = data;
      expect(await prisma.item.findFirst({ where })).toMatchObject(expected);
      expect(
        await prisma.item.findMany({
          where: { tag: { in: [data.tag] }, day: { gte: data.day }, small: { lt: 0 }, opens: { lte: data.opens } },
          cursor: { tag: data.tag },
          orderBy: [{ day: 'asc' }, { tag: 'asc' }],
        }),
      ).toMatchObject([expected]);
      expect(
        await prisma.item.updateManyAndReturn({
          where: { mask: '1010', tag: data.tag },
          data: {
            small: { increment: 1 },
            ratio: { multiply: 2 },
            day: new Date('2024-03-01T00:00:00Z'),
            mask: '0001',
            address: null,
          },
        }),
      ).toMatchObject([
        { ...expected, small: -32767, ratio: 0.5, day: new Date('2024-03-01T00:00:00Z'), mask: '0001', address: null },
      ]);
      expect(
        (
          await prisma.item.groupBy({
            by: ['day', 'code'],
            where: { tag: data.tag },
            _sum: { small: true },
            _avg: { ratio: true },
          })
        ).map(({ _sum, _avg, ...by }: Loose) => ({ ...by, small: _sum.small, ratio: _avg.ratio })),
      ).toEqual([{ day: new Date('2024-03-01T00:00:00Z'), code: 'ab  ', small: -32767, ratio: 0.5 }]);
      expect(await prisma.item.delete({ where: { tag: data.tag } })).toMatchObject({
        name: `native-${use}`,
        mask: '0001',
      });
      const error: Loose = await prisma.item
        .create({ data: { name: 'x', address: 'nowhere' } })
        .catch((thrown: unknown) => thrown);
      expect(error.message).toMatch(/inet/);
      expect(await prisma.item.count()).toBe(3);
    }
  });

  it('a view over both schemas can be read', async () => {
    const demand = await again(() =>
      prisma.demand.findMany({
        where: { item: { name: { not: 'lamp' } } },
        orderBy: { itemId: 'asc' },
        include: { item: { select: { name: true, lines: { select: { order: { select: { status: true } } } } } } },
      }),
    );
    expect(demand).toEqual([
      {
        itemId: 1,
        unit: 'PIECE',
        orders: 1n,
        total: new Prisma.Decimal('2.5'),
        item: { name: 'rope', lines: [{ order: { status: 'PAID' } }] },
      },
      {
        itemId: 2,
        unit: 'KILO',
        orders: 1n,
        total: new Prisma.Decimal('4'),
        item: { name: 'rice', lines: [{ order: { status: 'PAID' } }] },
      },
    ]);
    expect(await again(() => prisma.item.findUnique({ where: { id: 3 }, select: { demand: true } }))).toEqual({
      demand: { itemId: 3, unit: 'PIECE', orders: 0n, total: new Prisma.Decimal(0) },
    });
    expect(
      (await again(() =>
        prisma.demand.aggregate({ _sum: { total: true }, _max: { orders: true }, _count: true }),
      )) as Loose,
    ).toEqual({
      _sum: { total: new Prisma.Decimal('6.5') },
      _max: { orders: 1n },
      _count: 3,
    });
    expect(
      await again(() => prisma.demand.groupBy({ by: ['unit'], _sum: { orders: true }, orderBy: { unit: 'asc' } })),
    ).toEqual([
      { unit: 'PIECE', _sum: { orders: 1n } },
      { unit: 'KILO', _sum: { orders: 1n } },
    ]);
  });

  it('full-text search and order by relevance find the right records', async () => {
    const names = async (query: object): Promise<string[]> =>
      (
        (await again(() =>
          prisma.item.findMany({ orderBy: { id: 'asc' }, ...query, select: { name: true } }),
        )) as Loose[]
      ).map((item) => item.name);
    expect(await names({ where: { description: { search: 'strong' } } })).toEqual(['rope', 'lamp']);
    expect(await names({ where: { description: { search: 'strong & rope' } } })).toEqual(['rope']);
    expect(await names({ where: { description: { search: 'hemp | north' } } })).toEqual(['rope', 'rice']);
    expect(await names({ where: { description: { search: '!strong' } } })).toEqual(['rice']);
    expect(await names({ where: { description: { search: 'lamp <-> strong' } } })).toEqual(['lamp']);
    expect(await names({ where: { NOT: { description: { search: 'rice' } } } })).toEqual(['rope', 'lamp']);
    expect(await names({ where: { name: { search: 'rope' }, description: { search: 'rope' } } })).toEqual(['rope']);
    expect(
      await names({
        orderBy: [{ _relevance: { fields: ['name', 'description'], search: 'rice', sort: 'desc' } }, { id: 'desc' }],
      }),
    ).toEqual(['rice', 'lamp', 'rope']);
    expect(
      await again(() =>
        prisma.line.findMany({ where: { item: { description: { search: 'north' } } }, select: { itemId: true } }),
      ),
    ).toEqual([{ itemId: 2 }]);
    for (let use = 0; use < USES; use++) {
      const error: Loose = await prisma.item
        .findMany({ where: { description: { search: 'two words' } } })
        .catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        name: expect.stringMatching(/^PrismaClient/),
        message: expect.stringMatching(/tsquery/),
      });
    }
  });

  describe('omit', () => {
    it('omit works in a query, in the relations that it loads, and in writes', async () => {
      expect(await again(() => prisma.customer.findMany({ omit: { secret: true } }))).toEqual([
        { id: 1, email: 'ada@example.com' },
      ]);
      expect(
        await again(() =>
          prisma.order.findFirst({
            where: { id: 2 },
            omit: { placedAt: true, history: true },
            include: { customer: { omit: { secret: true, id: true } } },
          }),
        ),
      ).toEqual({ id: 2, number: 'A2    ', status: 'GONE', customerId: 1, customer: { email: 'ada@example.com' } });
      for (let use = 0; use < USES; use++) {
        const email = `omit-${use}@example.com`;
        const without = { omit: { secret: true, id: true } };
        expect(await prisma.customer.create({ data: { email }, ...without })).toEqual({ email });
        expect(await prisma.customer.update({ where: { email }, data: { secret: 'y' }, ...without })).toEqual({
          email,
        });
        expect(
          await prisma.customer.upsert({ where: { email }, update: { secret: 'z' }, create: { email }, ...without }),
        ).toEqual({ email });
        expect(
          await prisma.customer.updateManyAndReturn({ where: { email }, data: { secret: 'w' }, ...without }),
        ).toEqual([{ email }]);
        expect(await prisma.customer.delete({ where: { email }, ...without })).toEqual({ email });
        expect(await prisma.customer.createManyAndReturn({ data: [{ email }], ...without })).toEqual([{ email }]);
        await prisma.customer.deleteMany({ where: { email } });
      }
    });

    it('omit works for a whole client, and a query can override it', async () => {
      const quiet = targets
        .of(version)
        .open({ omit: { customer: { secret: true }, item: { description: true, document: true } } });
      expect(await again(() => quiet.customer.findMany())).toEqual([{ id: 1, email: 'ada@example.com' }]);
      expect(await again(() => quiet.customer.findFirst({ omit: { secret: false } }))).toEqual({
        id: 1,
        email: 'ada@example.com',
        secret: 'hidden',
      });
      expect(await again(() => quiet.customer.findFirst({ select: { secret: true } }))).toEqual({ secret: 'hidden' });
      const order = await again(() =>
        quiet.order.findFirst({ where: { id: 1 }, include: { customer: true, lines: { include: { item: true } } } }),
      );
      expect(order.customer).toEqual({ id: 1, email: 'ada@example.com' });
      expect(Object.keys(order.lines[0].item)).not.toContain('description');
      expect(order.lines[0].item).toMatchObject({ name: 'rope', code: 'R1  ' });
    });
  });

  it('a TypedSQL query, which is generated from SQL, returns typed rows', async () => {
    // The code that `prisma generate --sql` writes into a client; the command asks a live database for the types.
    const { makeTypedQueryFactory } = requireOf(version)('@prisma/client/runtime/client');
    const unitsOf = makeTypedQueryFactory(
      'SELECT id, name, unit, ratio FROM stock.items WHERE unit = $1::stock."Unit" AND id > $2 ORDER BY id',
    );
    expect(await again(() => prisma.$queryRawTyped(unitsOf('pc', 0)))).toEqual([
      { id: 1, name: 'rope', unit: 'pc', ratio: null },
      { id: 3, name: 'lamp', unit: 'pc', ratio: null },
    ]);
    const total = makeTypedQueryFactory(
      'SELECT sum(quantity) AS total, count(*) AS lines FROM sales.lines WHERE order_id = ANY($1)',
    );
    expect(await again(() => prisma.$queryRawTyped(total([1, 2])))).toEqual([
      { total: new Prisma.Decimal('6.5'), lines: 2n },
    ]);
    expect(await prisma.$transaction([prisma.$queryRawTyped(unitsOf('kg', 0)), prisma.item.count()])).toEqual([
      [{ id: 2, name: 'rice', unit: 'kg', ratio: 0.5 }],
      3,
    ]);
    expect(await prisma.$transaction((tx: Loose) => tx.$queryRawTyped(unitsOf('kg', 2)))).toEqual([]);
    await expect(prisma.$queryRawTyped(unitsOf('no unit', 0))).rejects.toMatchObject({ code: 'P2010' });
  });
});
