// A process that owns the instances of a data directory. It reads one JSON command per line from standard input and
// writes one JSON reply per line. Tests kill it; it ends when its standard input ends.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Deadline, systemClock } from '../../dist/base/index.js';
import { MemoryKeeper, openInstances, openProcessMachine } from '../../dist/instance/index.js';

const logger = { log: () => {} };
let machine;
let instances;
let rest;
const holds = new Map();
const opened = new Map();
const instance = (id) => opened.get(id) ?? instances.open(record(id));
const record = (id) => ({ id, name: 'test', pgMajor: 18, createdAtMs: 0 });
const deadline = (ms = 30_000) => Deadline.in(systemClock, ms);

const commands = {
  async open({ options }) {
    rest = options.rest;
    machine = await openProcessMachine({ ...options, logger });
    return { process: process.pid, uid: process.getuid() };
  },
  async prepare() {
    const { runtime, servers } = await machine.prepare();
    const memory = new MemoryKeeper({ maxBytes: undefined, machine: machine.memory, clock: systemClock, logger });
    instances = openInstances({ runtime, memory, rest, logger });
    return servers;
  },
  recover: ({ ids }) => instances.recover(ids.map(record)),
  async create({ id }) {
    opened.set(id, await instances.create(record(id)));
    return describe(id);
  },
  async branch({ source, id, atRest, throwAway }) {
    let progress = 0;
    const onProgress = () => progress++;
    const made = { ...record(id), throwAway: throwAway === true };
    const result = await instances.branch(record(source), made, { atRest: atRest === true, onProgress });
    opened.set(id, instances.open(made));
    return { ...result, progress, ...describe(id) };
  },
  async hold({ id, ms }) {
    const hold = await instance(id).hold(deadline(ms));
    holds.set(id, [...(holds.get(id) ?? []), hold]);
    return describe(id);
  },
  async release({ id }) {
    holds.get(id)?.pop()?.release();
    return describe(id);
  },
  async suspend({ id }) {
    await instance(id).suspend();
    return describe(id);
  },
  async stop({ id }) {
    await instance(id).stop();
    return describe(id);
  },
  async wake({ id }) {
    await instance(id).wake();
    return describe(id);
  },
  /** Kills the postmaster, and takes a new hold in the same turn of the event loop in which its exit is reported. */
  async crash({ id }) {
    const crashed = instance(id);
    const stopped = new Promise((resolve) => {
      const remove = crashed.onChange((state) => {
        if (state !== 'stopped') return;
        remove();
        resolve();
      });
    });
    process.kill(JSON.parse(readFileSync(join(instances.directory(id), 'process.json'), 'utf8')).pid, 'SIGKILL');
    await stopped;
    holds.delete(id);
    return commands.hold({ id });
  },
  state: async ({ id }) => describe(id),
  destroy: ({ id }) => instances.destroy(id),
  async close() {
    await instances?.close();
    await machine.close();
  },
};

function describe(id) {
  const { state, endpoint, generation } = instance(id);
  return { state, socket: endpoint.path, generation, directory: instances.directory(id) };
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { sequence, command, ...rest } = JSON.parse(line);
  let reply;
  try {
    reply = { sequence, value: (await commands[command](rest)) ?? null };
  } catch (error) {
    reply = { sequence, code: error.code ?? 'unknown', message: `${error.message}` };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
});
