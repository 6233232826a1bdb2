import { dirname } from 'node:path';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ByteWriter,
  decodeBackendKeyData,
  encodeBind,
  encodeCancelRequest,
  encodeClose,
  encodeCopyData,
  encodeCopyDone,
  encodeCopyFail,
  encodeDescribe,
  encodeExecute,
  encodeFlush,
  encodeParse,
  encodeQuery,
  encodeSync,
  PROTOCOL_3_0,
} from '../../src/wire/index.ts';
import {
  type PostgresTestDoor,
  RawClient,
  rawLogin,
  startPostgresTestDoor,
  type TestKey,
} from '../support/postgres-test-door.ts';
import { numberFrom, seedFromEnvironment } from '../support/seeded.ts';
import { until } from '../support/until.ts';

// The door must know from the messages whether a session is active. The test asks Postgres itself after each piece of a
// pipeline and compares.
const SEED = seedFromEnvironment();
const ROUNDS = numberFrom('DORMOUSE_ROUNDS', 40);

let test: PostgresTestDoor;
let owner: TestKey;
let watcher: pg.Client;
let gate: pg.Client;

beforeAll(async () => {
  test = await startPostgresTestDoor();
  owner = test.key('owner');
  const { endpoint } = test.instance;
  if (endpoint.kind !== 'unix') throw new Error('a socket file was expected');
  const config = { host: dirname(endpoint.path), port: 5432, user: 'dormouse', database: 'postgres' };
  watcher = new pg.Client(config);
  gate = new pg.Client(config);
  await watcher.connect();
  await gate.connect();
  await gate.query(`
    create table gate as select true as shut; grant select on gate to owner;
    create table kept (n int); create table picky (n int); grant all on kept, picky to owner;
    create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
    create trigger refuse before insert on picky execute function refuse();
    create table late (n int unique deferrable initially deferred); insert into late values (1); grant all on late to owner`);
});
afterAll(async () => {
  await watcher?.end();
  await gate?.end();
  await test?.close();
});

/** Runs until the gate is opened, or until the statement is cancelled. */
const WAIT = 'do $$ begin while (select shut from gate) loop perform pg_sleep(0.005); end loop; end $$';

type Message = (writer: ByteWriter) => void;

const query =
  (sql: string): Message =>
  (writer) =>
    encodeQuery(writer, sql);
const sync: Message = (writer) => encodeSync(writer);
const flush: Message = (writer) => encodeFlush(writer);
const execute = (sql: string, rowsMax = 0): readonly Message[] => [
  (writer) => encodeParse(writer, '', sql, []),
  (writer) => encodeBind(writer, '', '', []),
  (writer) => encodeDescribe(writer, 'P', ''),
  (writer) => encodeExecute(writer, '', rowsMax),
];
/** A broken Flush is an error of the extended protocol like any other. */
const raw =
  (...bytes: number[]): Message =>
  (writer) =>
    writer.bytes(Buffer.from(bytes));
/** pg_backend_pid() by its oid, without arguments, as text. */
const call = raw(0x46, 0, 0, 0, 14, 0, 0, 7, 234, 0, 0, 0, 0, 0, 0);

const statements = fc.constantFrom(
  'select 1',
  '',
  'select 1/0',
  'selekt',
  'begin',
  'commit',
  'rollback',
  'insert into late values (1)',
  'select generate_series(1, 3)',
  WAIT,
);

/** The possible steps; each is a list of messages that may be sent at once. */
const step: fc.Arbitrary<readonly Message[]> = fc.oneof(
  { weight: 3, arbitrary: statements.map((sql) => [query(sql)]) },
  { weight: 1, arbitrary: fc.constant([query('select 1; select 1/0; select 2')]) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(statements, fc.nat(1), fc.boolean())
      .map(([sql, rows, end]) => [...execute(sql, rows), ...(end ? [sync] : [])]),
  },
  { weight: 3, arbitrary: fc.constant([sync]) },
  { weight: 1, arbitrary: fc.constant([flush]) },
  { weight: 1, arbitrary: fc.constant([call]) },
  { weight: 1, arbitrary: fc.constant([raw(0x48, 0, 0, 0, 5, 1)]) },
  { weight: 1, arbitrary: fc.constant([(writer: ByteWriter) => encodeClose(writer, 'S', 'none')]) },
  { weight: 1, arbitrary: fc.constant([(writer: ByteWriter) => encodeDescribe(writer, 'S', 'none')]) },
  { weight: 1, arbitrary: fc.constant([(writer: ByteWriter) => encodeBind(writer, '', 'none', [])]) },
  { weight: 1, arbitrary: fc.constant([(writer: ByteWriter) => encodeCopyDone(writer)]) },
);

const data: fc.Arbitrary<readonly Message[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.constant<Message>((writer) => encodeCopyData(writer, Buffer.from('1\n'))) },
    { weight: 1, arbitrary: fc.constant<Message>((writer) => encodeCopyData(writer, Buffer.from('one\n'))) },
    { weight: 1, arbitrary: fc.constant(sync) },
    { weight: 1, arbitrary: fc.constant(flush) },
  ),
  { maxLength: 4 },
);
const copyEnd = fc.constantFrom<Message>(
  (writer) => encodeCopyDone(writer),
  (writer) => encodeCopyDone(writer),
  (writer) => encodeCopyFail(writer, 'enough'),
);
const copyStart: fc.Arbitrary<readonly Message[]> = fc
  .tuple(fc.constantFrom('copy kept from stdin', 'copy kept from stdin', 'copy picky from stdin'), fc.nat(2))
  .map(([sql, way]) => (way === 0 ? [query(sql)] : [...execute(sql), ...(way === 1 ? [sync] : [])]));

/** A piece of a pipeline, sent at once. A copy that is not ended in its own piece is ended by the next piece. */
const piece: fc.Arbitrary<readonly (readonly Message[])[]> = fc.oneof(
  { weight: 3, arbitrary: fc.array(step, { minLength: 1, maxLength: 6 }).map((steps) => [steps.flat()]) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.array(step, { maxLength: 3 }), copyStart, data, copyEnd, fc.array(step, { maxLength: 4 }), fc.boolean())
      .map(([before, start, rows, end, after, cut]) =>
        cut
          ? [
              [...before.flat(), ...start],
              [...rows, end, ...after.flat()],
            ]
          : [[...before.flat(), ...start, ...rows, end, ...after.flat()]],
      ),
  },
);

const pipeline = fc.array(
  fc.record({ pieces: piece, synced: fc.boolean(), freed: fc.constantFrom('gate', 'cancel') }),
  {
    minLength: 1,
    maxLength: 4,
  },
);

/** The state of the session as Postgres reports it; undefined once the session is gone. */
async function stateOf(processId: number): Promise<string | undefined> {
  const { rows } = await watcher.query('select state from pg_stat_activity where pid = $1', [processId]);
  return rows[0]?.state;
}

describe('a pipeline', () => {
  it('a pipeline counts as active exactly while Postgres works on it, whatever its messages are', async () => {
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(pipeline, async (pipes) => {
        const client = await RawClient.open(test.port);
        const frames = await rawLogin(client, owner, PROTOCOL_3_0);
        client.socket.removeAllListeners('data').resume();
        const key = decodeBackendKeyData(frames.find(({ type }) => type === 'K')?.payload as Buffer);
        const said: string[] = [];
        let alive = true;
        client.socket.once('close', () => {
          alive = false;
        });
        /** Waits until door and Postgres agree and keep agreeing. A session that ended by itself is not compared. */
        const agree = async (exactly: boolean): Promise<string | undefined> => {
          let state: string | undefined;
          let steady = 0;
          await until(
            async () => {
              state = alive ? await stateOf(key.processId) : undefined;
              if (!alive) return true;
              const works = state !== 'idle';
              const held = test.instance.holds > 0;
              steady = works === held || (!exactly && held) ? steady + 1 : 0;
              return steady > 2;
            },
            { withinMs: 15_000, what: `one opinion: Postgres says ${state}, after ${said.join(' ')}` },
          ).catch((error: Error) => {
            throw new Error(`${error.message}: now ${state}, ${test.instance.holds} holds after ${said.join(' ')}`);
          });
          compared += 1;
          return state;
        };
        try {
          for (const { pieces, synced, freed } of pipes) {
            await gate.query('update gate set shut = true');
            for (const [index, messages] of pieces.entries()) {
              const writer = new ByteWriter();
              for (const message of messages) message(writer);
              const last = index === pieces.length - 1;
              if (synced && last) sync(writer);
              const bytes = Buffer.from(writer.take());
              said.push(types(bytes));
              client.write(bytes);
              // Between pieces nothing is compared: the second is sent right behind the first, or after the first was
              // answered.
              if (!last && freed === 'gate') await agree(false);
            }
            let state = await agree(synced);
            if (state === 'active' && freed === 'cancel') {
              for (let sent = 0; sent < 10 && state === 'active'; sent++) {
                const other = await RawClient.open(test.port);
                const writer = new ByteWriter();
                encodeCancelRequest(writer, key.processId, key.secretKey);
                other.write(writer.take());
                await other.closed();
                said.push('!');
                state = await agree(synced);
              }
            }
            await gate.query('update gate set shut = false');
            await agree(synced);
          }
        } finally {
          await gate.query('update gate set shut = false');
          client.close();
          await until(() => test.instance.holds === 0 && test.instance.sessions === 0, { what: 'nothing held' });
        }
      }),
      { numRuns: ROUNDS, endOnFailure: true, seed: SEED },
    );
    expect(compared).toBeGreaterThan(ROUNDS);
  });
});

/** The types of the messages of a stream, one letter each, with the text of messages that have one. */
function types(bytes: Buffer): string {
  let out = '';
  for (let at = 0; at < bytes.length; ) {
    const next = at + 1 + bytes.readInt32BE(at + 1);
    const type = String.fromCharCode(bytes[at] as number);
    const text = 'QP'.includes(type)
      ? `(${bytes
          .toString('latin1', at + 5, next)
          .replaceAll('\0', '')
          .slice(0, 40)})`
      : '';
    out += type + text;
    at = next;
  }
  return out;
}
