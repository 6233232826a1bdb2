// A process that owns one captured database and serves its events. It reads one JSON command per line from standard
// input and writes one JSON reply per line. Tests kill it; it ends when its standard input ends.
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { cryptoRandom, systemClock } from '../../dist/base/index.js';
import { createEvents } from '../../dist/events/index.js';
import { MemoryKeeper, openInstances, openProcessMachine } from '../../dist/instance/index.js';

const RECORD = { id: 'db_00000000000000000000', name: 'test', pgMajor: 18, createdAtMs: 0 };
let machine;
let instances;
let instance;
let ofDatabase;

const commands = {
  async open({ dataDirectory, create }) {
    const logger = { log: () => {} };
    const rest = { suspendAfterMs: Number.POSITIVE_INFINITY, stopAfterMs: Number.POSITIVE_INFINITY };
    machine = await openProcessMachine({ dataDirectory, logger });
    const { runtime } = await machine.prepare();
    const memory = new MemoryKeeper({ maxBytes: undefined, machine: machine.memory, clock: systemClock, logger });
    instances = openInstances({ runtime, memory, rest, logger });
    if (create) await instances.create(RECORD);
    instance = instances.open(RECORD);
    const events = createEvents({ clock: systemClock, random: cryptoRandom, logger });
    const directory = instances.directory(RECORD.id);
    ofDatabase = events.openDatabase({ databaseId: RECORD.id, directory, instance });
    instance.attach(ofDatabase.attachment);
    if (!create) await instances.recover([RECORD]);
    const delivery = events.deliver({
      authenticate: () => ({ keyId: 'key_00000000000000000000', databaseId: RECORD.id, role: 'owner' }),
      database: () => ofDatabase,
    });
    const server = createServer(delivery.stream);
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    return { port: server.address().port, socket: instance.endpoint.path, state: instance.state };
  },
  suspend: () => instance.suspend(),
  stop: () => instance.stop(),
  wake: () => instance.wake(),
  drain: () => ofDatabase.capture.drain(),
  async close() {
    await instances.close();
    await machine.close();
    await ofDatabase.close();
    setImmediate(() => process.exit(0));
  },
};

createInterface({ input: process.stdin })
  .on('line', async (line) => {
    const { sequence, command, ...rest } = JSON.parse(line);
    let reply;
    try {
      reply = { sequence, value: (await commands[command](rest)) ?? null };
    } catch (error) {
      reply = { sequence, error: `${error.code}: ${error.message}` };
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  })
  .on('close', () => process.exit(0));
