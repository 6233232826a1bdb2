import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const source = dirname(fileURLToPath(import.meta.url));

/** The stages, and for each the stages that it may import. Imports point down the life of a query. */
const STAGES: Directions = {
  base: [],
  wire: [],
  threads: ['base'],
  session: ['wire', 'base'],
  instance: ['session', 'threads', 'wire', 'base'],
  pool: ['instance', 'session', 'wire', 'base'],
  events: ['instance', 'session', 'threads', 'wire', 'base'],
  engine: ['pool', 'threads', 'wire', 'base'],
  edge: ['base'],
  'management-api': ['base'],
  control: ['management-api', 'instance', 'base'],
  front: ['edge', 'pool', 'instance', 'session', 'wire', 'base'],
  platform: ['front', 'control', 'management-api', 'edge', 'engine', 'events', 'pool', 'instance', 'session', 'base'],
  cli: ['platform', 'management-api', 'base'],
  main: ['cli'],
};

/**
 * The rooms of each stage that has rooms, and for each the rooms of its stage that it may import. A file beside the
 * rooms counts as one.
 */
const ROOMS: Readonly<Record<string, Directions>> = {
  base: {
    assert: [],
    cancellation: [],
    clock: [],
    errors: [],
    log: [],
    'sql-transaction': [],
    timings: [],
    deadline: ['clock'],
    ids: ['errors'],
    catalog: ['ids'],
    limits: ['catalog'],
    requests: ['cancellation', 'timings', 'errors', 'deadline', 'ids', 'catalog'],
  },
  wire: {
    bytes: [],
    scram: [],
    messages: ['bytes'],
    replication: ['bytes'],
  },
  instance: {
    contract: [],
    machine: ['contract'],
    administration: ['contract', 'machine'],
    memory: ['contract'],
    life: ['contract'],
    postgres: ['machine', 'administration'],
    confinement: ['machine', 'postgres'],
    maintenance: ['contract', 'administration', 'life'],
    copies: ['contract', 'machine', 'administration', 'postgres', 'confinement'],
    branching: ['contract', 'life'],
    process: ['contract', 'machine', 'administration', 'postgres', 'confinement', 'copies'],
    instances: ['contract', 'memory', 'life', 'maintenance', 'branching'],
  },
  pool: {
    pool: [],
    statements: ['pool'],
    connection: ['pool', 'statements'],
    'pool-members': ['statements', 'connection'],
    'pool-connector': ['pool', 'statements', 'connection', 'pool-members'],
    'pool-lease': ['pool', 'connection', 'pool-members'],
    'wait-queue': ['pool', 'connection'],
    'server-pool': ['pool', 'statements', 'connection', 'pool-members', 'pool-connector', 'pool-lease', 'wait-queue'],
  },
  events: {
    log: [],
    capture: ['log'],
    'database-events': ['log', 'capture'],
    delivery: ['log', 'capture', 'database-events'],
    events: ['log', 'capture', 'database-events', 'delivery'],
  },
  engine: {
    engine: [],
    'memory-budget': [],
    statements: [],
    request: ['statements'],
    'prisma-runtime': ['statements', 'request'],
    compiler: ['memory-budget', 'prisma-runtime'],
    program: ['statements', 'request', 'prisma-runtime'],
    transactions: ['statements', 'request', 'prisma-runtime'],
    'engine-parts': ['memory-budget', 'statements', 'request', 'prisma-runtime', 'program', 'transactions'],
    prisma7: ['memory-budget', 'statements', 'request', 'prisma-runtime', 'program', 'transactions', 'engine-parts'],
    prisma6: [
      'memory-budget',
      'statements',
      'request',
      'prisma-runtime',
      'compiler',
      'program',
      'transactions',
      'engine-parts',
    ],
    'large-bodies': [
      'engine',
      'memory-budget',
      'statements',
      'request',
      'prisma-runtime',
      'compiler',
      'program',
      'transactions',
      'prisma7',
      'prisma6',
    ],
    'open-database': [
      'engine',
      'memory-budget',
      'statements',
      'request',
      'prisma-runtime',
      'compiler',
      'program',
      'transactions',
      'prisma7',
      'prisma6',
      'large-bodies',
    ],
    'create-engine': [
      'engine',
      'memory-budget',
      'prisma-runtime',
      'compiler',
      'program',
      'large-bodies',
      'open-database',
    ],
  },
  control: {
    registry: [],
    databases: ['registry'],
    control: ['registry', 'databases'],
    api: ['registry', 'databases', 'control'],
  },
  platform: {
    'closing-stack': [],
    database: [],
    'platform-options': [],
    'start-gate': [],
    machine: ['platform-options'],
    ports: ['platform-options'],
    doors: ['database', 'platform-options', 'ports'],
    fleet: ['database'],
    platform: ['closing-stack', 'platform-options', 'start-gate', 'machine', 'ports', 'doors', 'fleet'],
  },
  cli: {
    'command-line': [],
    'start-platform': [],
    'platform-api': ['command-line'],
    commands: ['command-line', 'start-platform', 'platform-api'],
  },
};

type Directions = Readonly<Record<string, readonly string[]>>;

/** A file of src/, by where it stands: `engine/program/run.ts` is of stage `engine` and room `program`. */
interface Place {
  readonly file: string;
  readonly stage: string;
  readonly room: string;
}

interface Import {
  readonly from: Place;
  readonly to: Place | undefined;
  readonly specifier: string;
}

const IMPORTS =
  /(?:^|\n)\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]|(?:^|\n)\s*import\s*['"]([^'"]+)['"]/g;

function placeOf(path: string): Place {
  const file = relative(source, path).split(sep).join('/');
  const [first = '', second = '', ...deeper] = file.split('/');
  const stage = first.replace(/\.ts$/, '');
  return { file, stage, room: deeper.length > 0 ? second : second.replace(/\.ts$/, '') };
}

function imports(): Import[] {
  const found: Import[] = [];
  for (const entry of readdirSync(source, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts') || entry.name.endsWith('.test.ts')) continue;
    const path = join(entry.parentPath, entry.name);
    for (const match of readFileSync(path, 'utf8').matchAll(IMPORTS)) {
      const specifier = match[1] ?? match[2] ?? match[3] ?? '';
      const target = specifier.startsWith('.') ? resolve(dirname(path), specifier) : undefined;
      found.push({
        from: placeOf(path),
        to: target?.startsWith(source + sep) ? placeOf(target) : undefined,
        specifier,
      });
    }
  }
  return found;
}

const told = (wrong: readonly Import[]): string[] =>
  wrong.map(({ from, specifier }) => `${from.file} imports ${specifier}`);

/** Each permission of a table that no import uses. */
function unused(table: Directions, used: ReadonlySet<string>): string[] {
  return Object.entries(table).flatMap(([from, allowed]) =>
    allowed.map((to) => `${from} → ${to}`).filter((permission) => !used.has(permission)),
  );
}

/** The first circle in a graph, as the path that closes it. */
function circle(graph: ReadonlyMap<string, ReadonlySet<string>>): string[] | undefined {
  const done = new Set<string>();
  const path: string[] = [];
  function visit(node: string): string[] | undefined {
    const at = path.indexOf(node);
    if (at >= 0) return [...path.slice(at), node];
    if (done.has(node)) return undefined;
    path.push(node);
    for (const next of graph.get(node) ?? []) {
      const found = visit(next);
      if (found !== undefined) return found;
    }
    path.pop();
    done.add(node);
    return undefined;
  }
  for (const node of graph.keys()) {
    const found = visit(node);
    if (found !== undefined) return found;
  }
  return undefined;
}

function graphOf(edges: Iterable<readonly [string, string]>): Map<string, Set<string>> {
  const graph = new Map<string, Set<string>>();
  for (const [from, to] of edges) graph.set(from, (graph.get(from) ?? new Set()).add(to));
  return graph;
}

describe('the walls between the stages', () => {
  const all = imports();
  const inside = all.filter((one): one is Import & { readonly to: Place } => one.to !== undefined);
  const acrossStages = inside.filter(({ from, to }) => from.stage !== to.stage);
  const acrossRooms = inside.filter(({ from, to }) => from.stage === to.stage && from.room !== to.room);

  it('the test looked: it read every stage and every room', () => {
    expect(new Set(all.map(({ from }) => from.stage))).toEqual(new Set([...Object.keys(STAGES)]));
    for (const [stage, rooms] of Object.entries(ROOMS)) {
      const seen = new Set(inside.filter(({ from }) => from.stage === stage).map(({ from }) => from.room));
      for (const room of Object.keys(rooms)) expect([...seen, ...leaves(stage)], `${stage}/${room}`).toContain(room);
    }
    expect(acrossStages.length).toBeGreaterThan(200);
    expect(acrossRooms.length).toBeGreaterThan(200);
  });

  it('imports between stages point down', () => {
    const wrong = acrossStages.filter(({ from, to }) => !(STAGES[from.stage] ?? []).includes(to.stage));
    expect(told(wrong)).toEqual([]);
  });

  it('imports between the rooms of a stage point down', () => {
    const wrong = acrossRooms.filter(
      ({ from, to }) =>
        ROOMS[from.stage] !== undefined &&
        from.room !== 'index' &&
        !(ROOMS[from.stage]?.[from.room] ?? []).includes(to.room),
    );
    expect(told(wrong)).toEqual([]);
  });

  it('every permission is used', () => {
    const stages = new Set(acrossStages.map(({ from, to }) => `${from.stage} → ${to.stage}`));
    expect(unused(STAGES, stages)).toEqual([]);
    for (const [stage, table] of Object.entries(ROOMS)) {
      const used = acrossRooms.filter(({ from }) => from.stage === stage);
      expect(unused(table, new Set(used.map(({ from, to }) => `${from.room} → ${to.room}`))), stage).toEqual([]);
    }
  });

  it('a stage with more than a dozen files has rooms, and each of its files stands in the table', () => {
    for (const stage of Object.keys(STAGES)) {
      const folder = join(source, stage);
      if (!existsSync(folder)) continue;
      const entries = readdirSync(folder, { withFileTypes: true });
      const flat = entries.filter(({ name }) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
      expect(flat.length, stage).toBeLessThanOrEqual(13);
      if (ROOMS[stage] === undefined) continue;
      const names = entries
        .filter((entry) => entry.isDirectory() || (entry.name.endsWith('.ts') && !/\.(test|d)\.ts$/.test(entry.name)))
        .map(({ name }) => name.replace(/\.ts$/, ''))
        .filter((name) => name !== 'index');
      expect(names.sort(), stage).toEqual(Object.keys(ROOMS[stage]).sort());
    }
  });

  it('no import leads back to where it came from: neither between stages, nor rooms, nor files', () => {
    const stages = graphOf(acrossStages.map(({ from, to }) => [from.stage, to.stage]));
    const rooms = graphOf(
      acrossRooms
        .filter(({ from, to }) => from.room !== 'index' && to.room !== 'index')
        .map(({ from, to }) => [`${from.stage}/${from.room}`, `${to.stage}/${to.room}`]),
    );
    const files = graphOf(inside.map(({ from, to }) => [from.file, to.file]));
    expect([circle(stages), circle(rooms), circle(files)]).toEqual([undefined, undefined, undefined]);
    // The search is one that finds.
    expect(
      circle(
        graphOf([
          ['a', 'b'],
          ['b', 'c'],
          ['c', 'a'],
        ]),
      ),
    ).toEqual(['a', 'b', 'c', 'a']);
  });

  it('others enter a stage or a room by its door', () => {
    // front/ has three doors of its own, listen/, http/ and postgres/; commands/ is entered by the list of commands.
    const stageDoor = /^(?:[^/]+\/index|front\/(?:listen|http|postgres)\/index)\.ts$/;
    const wrong = [
      ...acrossStages.filter(({ to }) => !stageDoor.test(to.file)),
      ...acrossRooms.filter(({ to }) => to.file.split('/').length > 2 && !to.file.endsWith('/index.ts')),
    ];
    expect(told(wrong)).toEqual([]);
  });

  it('a folder inside a room is entered by its door', () => {
    const folder = (file: string): string => file.slice(0, file.lastIndexOf('/'));
    const into = inside.filter(
      ({ from, to }) => to.file.split('/').length > 3 && !`${folder(from.file)}/`.startsWith(`${folder(to.file)}/`),
    );
    expect(into.length).toBeGreaterThan(10);
    expect(told(into.filter(({ to }) => !to.file.endsWith('/index.ts')))).toEqual([]);
  });

  it('no file has more than 400 lines, and half of the files have fewer than 90', () => {
    const lines = readdirSync(source, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      .map((name) => ({ name, count: readFileSync(join(source, name), 'utf8').trimEnd().split('\n').length }))
      .sort((a, b) => a.count - b.count);
    expect(lines.length).toBeGreaterThan(400);
    expect(lines.filter(({ count }) => count > 400)).toEqual([]);
    expect(lines[Math.floor(lines.length / 2)]?.count).toBeLessThan(90);
  });

  it('edge and base run without Node', () => {
    const wrong = all.filter(
      ({ from, specifier }) => ['edge', 'base'].includes(from.stage) && specifier.startsWith('node:'),
    );
    expect(told(wrong)).toEqual([]);
  });

  it('each stage has a door that says what it owns, its limits and how it fails; each room one that says what it owns', () => {
    const doorOf = (...path: string[]): string => readFileSync(join(source, ...path, 'index.ts'), 'utf8');
    for (const stage of [
      'base',
      'wire',
      'session',
      'pool',
      'instance',
      'engine',
      'events',
      'edge',
      'control',
      'threads',
      'platform',
    ]) {
      for (const word of ['Owns: ', 'Never: ', 'Limits: ', 'Fails with: '])
        expect(doorOf(stage), stage).toContain(word);
    }
    for (const [stage, rooms] of Object.entries(ROOMS)) {
      for (const room of Object.keys(rooms)) {
        if (existsSync(join(source, stage, `${room}.ts`))) continue;
        expect(doorOf(stage, room), `${stage}/${room}`).toMatch(/Owns: \w[\s\S]*Never: \w/);
      }
    }
  });

  /** Rooms that import nothing. */
  function leaves(stage: string): string[] {
    const rooms = new Set(inside.filter(({ to }) => to.stage === stage).map(({ to }) => to.room));
    return [...rooms];
  }
});
