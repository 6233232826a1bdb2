import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const source = dirname(fileURLToPath(import.meta.url));

/** Which stages a stage may import, besides itself. Imports point down the life of a query. */
const BELOW: Record<string, readonly string[]> = {
  base: [],
  wire: ['base'],
  instance: ['wire', 'base'],
  pool: ['instance', 'wire', 'base'],
  events: ['pool', 'instance', 'wire', 'base'],
  engine: ['pool', 'instance', 'wire', 'base'],
  edge: ['base'],
  control: ['edge', 'engine', 'events', 'pool', 'instance', 'wire', 'base'],
  insights: ['edge', 'engine', 'events', 'pool', 'instance', 'wire', 'base'],
  front: ['edge', 'engine', 'events', 'pool', 'instance', 'wire', 'base'],
  worker: ['edge', 'base'],
  'closing-stack': [],
  'platform-options': [],
  'start-gate': ['base'],
  database: ['engine', 'events', 'pool', 'instance', 'base'],
  fleet: ['database', 'control', 'engine', 'instance', 'base'],
  doors: ['database', 'platform-options', 'front', 'control', 'edge', 'events', 'base'],
  platform: [
    'closing-stack',
    'platform-options',
    'doors',
    'start-gate',
    'fleet',
    'front',
    'control',
    'insights',
    'edge',
    'engine',
    'events',
    'pool',
    'instance',
    'wire',
    'base',
  ],
  cli: ['platform', 'base'],
  main: ['cli', 'base'],
};

interface Import {
  readonly file: string;
  readonly stage: string;
  readonly specifier: string;
}

function imports(): Import[] {
  const found: Import[] = [];
  for (const entry of readdirSync(source, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts') || entry.name.endsWith('.test.ts')) continue;
    const path = join(entry.parentPath, entry.name);
    const file = relative(source, path);
    const first = file.split(sep)[0] ?? '';
    const stage = first.endsWith('.ts') ? first.slice(0, -3) : first;
    for (const match of readFileSync(path, 'utf8').matchAll(
      /(?:^|\n)\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]|(?:^|\n)\s*import\s*['"]([^'"]+)['"]/g,
    )) {
      found.push({ file, stage, specifier: match[1] ?? match[2] ?? match[3] ?? '' });
    }
  }
  return found;
}

/** Where a relative import leads: its stage and the file within. */
function target(one: Import): { stage: string; inner: string } | undefined {
  if (!one.specifier.startsWith('.')) return undefined;
  const path = relative(source, resolve(source, dirname(one.file), one.specifier));
  if (path.startsWith('..')) return undefined;
  const [first = '', ...rest] = path.split(sep);
  return first.endsWith('.ts')
    ? { stage: first.slice(0, -3), inner: 'index.ts' }
    : { stage: first, inner: rest.join('/') };
}

describe('the walls between the stages', () => {
  const all = imports();

  it('looked at the files: every stage that has code was read', () => {
    const stages = new Set(all.map((one) => one.stage));
    for (const stage of ['base', 'wire', 'pool', 'instance', 'engine', 'events', 'edge', 'control', 'front', 'cli']) {
      expect(stages, stage).toContain(stage);
    }
    expect(all.length).toBeGreaterThan(200);
  });

  it('imports point down', () => {
    const wrong = all.filter((one) => {
      const to = target(one);
      return to !== undefined && to.stage !== one.stage && !(BELOW[one.stage] ?? []).includes(to.stage);
    });
    expect(wrong.map((one) => `${one.file} imports ${one.specifier}`)).toEqual([]);
  });

  it('others enter a stage by its door', () => {
    // front/ has two doors of its own, http/ and postgres/.
    const doors = /^(?:index\.ts|(?:http|postgres)\/index\.ts)$/;
    const wrong = all.filter((one) => {
      const to = target(one);
      return to !== undefined && to.stage !== one.stage && !doors.test(to.inner);
    });
    expect(wrong.map((one) => `${one.file} imports ${one.specifier}`)).toEqual([]);
  });

  it('edge and base run without Node', () => {
    const wrong = all.filter(
      (one) => ['edge', 'base', 'worker'].includes(one.stage) && one.specifier.startsWith('node:'),
    );
    expect(wrong.map((one) => `${one.file} imports ${one.specifier}`)).toEqual([]);
  });

  it('each stage has a door that says what it owns', () => {
    for (const stage of ['base', 'wire', 'pool', 'instance', 'engine', 'events', 'edge', 'control']) {
      const door = readFileSync(join(source, stage, 'index.ts'), 'utf8');
      for (const word of ['Owns:', 'Never:', 'Limits:', 'Fails with:']) expect(door, stage).toContain(word);
    }
  });
});
