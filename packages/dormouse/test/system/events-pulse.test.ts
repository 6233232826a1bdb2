import { beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createCapturedClient, useCapturedMachine } from '../support/captured-client.ts';
import type { CapturedDatabase } from '../support/captured-database.ts';
import { CLIENT_VERSIONS, type Loose } from '../support/clients.ts';
import { loadPulse } from '../support/pulse-extension.ts';
import { until } from '../support/until.ts';

const captured = useCapturedMachine({ limits: { recheckMs: 50 } });

/** Reads `count` events with a plain loop, acknowledging each, then stops. */
async function take(stream: Loose, count: number): Promise<Loose[]> {
  const events: Loose[] = [];
  for await (const event of stream) {
    events.push(event);
    if (events.length === count) break;
  }
  stream.stop();
  return events;
}

describe.each(CLIENT_VERSIONS)('the stock pulse extension beside Prisma %i', (version) => {
  let database: CapturedDatabase;
  let prisma: Loose;
  let Prisma: Loose;
  let pulse: Loose;

  beforeAll(async () => {
    const created = await createCapturedClient(captured, version);
    ({ database, Prisma } = created);
    pulse = loadPulse(version, captured.machine.home);
    prisma = created.client.$extends(
      pulse.withPulse({ apiKey: database.record.id, endpoint: new URL(`ws://127.0.0.1:${captured.doors.port}`) }),
    );
  });

  test('events of a model arrive with its field names and types', async () => {
    const users = await prisma.user.stream({ name: 'users' });
    await database.sql(
      `INSERT INTO users (email, tags, settings, updated_at) VALUES ('c@d', '{x,"y,z"}', '{"n": 1}', '2026-01-02 03:04:05.678')`,
      `UPDATE users SET name = 'C' WHERE email = 'c@d'`,
      `DELETE FROM users WHERE email = 'c@d'`,
    );
    const [created, updated, deleted] = await take(users, 3);
    expect(created).toMatchObject({
      id: expect.any(String),
      modelName: 'User',
      action: 'create',
      created: {
        id: expect.any(Number),
        email: 'c@d',
        name: null,
        tags: ['x', 'y,z'],
        scores: [],
        settings: { n: 1 },
        updatedAt: new Date('2026-01-02T03:04:05.678Z'),
        managerId: null,
      },
    });
    expect(updated).toMatchObject({ action: 'update', before: null, after: { email: 'c@d', name: 'C' } });
    expect(deleted).toMatchObject({ action: 'delete', deleted: { id: created.created.id } });
  });

  test('a named stream resumes after the last acknowledged event, and a filter lets through only matching events', async () => {
    const args = { name: 'mailer', create: { email: { endsWith: '@example.com' }, createdAt: { gt: new Date(0) } } };
    const first = await prisma.user.stream(args);
    await database.sql(
      ...[1, 2, 3, 4].map(
        (i) => `INSERT INTO users (email, updated_at) VALUES ('${i}@${i === 2 ? 'other' : 'example.com'}', now())`,
      ),
    );
    const events: Loose[] = [];
    for await (const event of first) {
      events.push(event.created.email);
      if (events.length === 2) break;
    }
    expect(events).toEqual(['1@example.com', '3@example.com']);
    first.stop();
    // The first was acknowledged when the loop asked for the second.
    const key = { kind: 'pulse', subject: 'User', name: 'mailer' } as const;
    const saved = await until(async () => (await database.log.cursor(key))?.position, { what: 'the cursor' });
    await until(async () => (await database.log.read({ after: saved, limit: 9 })).events.length > 0, {
      what: 'an event behind it',
    });
    const second = await prisma.user.stream(args);
    expect((await take(second, 2)).map((event) => event.created.email)).toEqual(['3@example.com', '4@example.com']);
  });

  test('a stream of the pulse extension reconnects by itself and misses no event', async () => {
    const stream = await prisma.user.stream({ name: 'steady', create: {} });
    const emails: string[] = [];
    const reading = (async () => {
      for await (const event of stream) {
        emails.push(event.created.email);
        if (emails.at(-1) === 'last') break;
      }
    })();
    await database.sql("INSERT INTO users (email, updated_at) VALUES ('first', now())");
    await until(() => emails.length === 1, { what: 'the first event' });
    captured.doors.revoked.add(database.record.id);
    await until(() => database.events.subscribers.open === 0, { what: 'the connection closed' });
    captured.doors.revoked.clear();
    await database.sql("INSERT INTO users (email, updated_at) VALUES ('last', now())");
    await reading;
    stream.stop();
    expect([...new Set(emails)]).toEqual(['first', 'last']);
  });

  test('decimals, big integers and bytes keep their values', async () => {
    const stream = await prisma.profile.subscribe({ create: {} });
    await database.sql(
      "INSERT INTO users (id, email, updated_at) VALUES (1000, 'p', now())",
      `INSERT INTO "Profile" (bio, avatar, user_id) VALUES ('b', '\\x00ff', 1000)`,
    );
    const [event] = await take(stream, 1);
    expect([...event.created.avatar]).toEqual([0, 255]);
    const invoices = await prisma.invoice.subscribe({ create: { number: { gt: 9007199254740992n } } });
    await database.sql(
      `INSERT INTO memberships (org, user_id, level) VALUES ('o', 1000, 1)`,
      `INSERT INTO invoices (id, number, amount) VALUES ('i1', 9007199254740992, 1), ('i2', 9007199254740993, 12345678.9)`,
    );
    const [invoice] = await take(invoices, 1);
    expect(invoice.created.number).toBe(9007199254740993n);
    expect(String(invoice.created.amount)).toBe('12345678.9');
    expect(Prisma.Decimal.isDecimal(invoice.created.amount)).toBe(true);
  });

  test('a filter may contain letters beyond ASCII', async () => {
    const stream = await prisma.user.subscribe({ create: { name: { contains: 'Zoë' } } });
    await database.sql(
      "INSERT INTO users (email, name, updated_at) VALUES ('zoe', 'Zoe', now()), ('zoë', 'Zoë Ÿ €', now())",
    );
    const [event] = await take(stream, 1);
    expect(event.created).toMatchObject({ email: 'zoë', name: 'Zoë Ÿ €' });
  });

  test('refusals have the codes that the extension knows', async () => {
    const wrong = prisma.$parent.$extends(
      pulse.withPulse({ apiKey: 'nobody', endpoint: new URL(`ws://127.0.0.1:${captured.doors.port}`) }),
    );
    await expect(wrong.user.stream()).rejects.toMatchObject({ code: 'P6102', name: 'Unauthorized' });
    await expect(prisma.user.stream({ create: { email: { near: 'x' } } })).rejects.toMatchObject({
      code: 'P6100',
      message: expect.stringContaining('near'),
    });
  });
});

test('a message that is no subscription is refused, and garbage ends only its own connection', async () => {
  const database = await captured.machine.create();
  const attempt = (headers: Record<string, string>): Promise<number | string> =>
    new Promise((resolve) => {
      const socket = new WebSocket(`ws://127.0.0.1:${captured.doors.port}/stream`, {
        headers: { authorization: `Bearer ${database.record.id}`, ...headers },
      });
      socket.on('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
      socket.on('open', () => socket.send('{"type":"noise"}'));
      socket.on('close', (code) => resolve(`closed ${code}`));
      socket.on('error', () => {});
    });
  const good = JSON.stringify({ modelName: 'T', model: { fields: [{ name: 'id', kind: 'scalar', type: 'Int' }] } });
  expect(await attempt({})).toBe(400);
  expect(await attempt({ subscription: 'x' })).toBe(400);
  expect(await attempt({ subscription: '{}' })).toBe(400);
  expect(await attempt({ subscription: good, stream: '{"name":7}' })).toBe(400);
  // A model whose table does not exist never has an event.
  expect(await attempt({ subscription: good, stream: '{}' })).toBe(404);
  await database.sql('CREATE TABLE "T" (id int PRIMARY KEY)');
  expect(await attempt({ subscription: good, stream: '{}' })).toBe('closed 1008');
  await until(() => database.events.subscribers.open === 0, { what: 'its place back' });
});
