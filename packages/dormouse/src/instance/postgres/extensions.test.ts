import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Scratch, scratch } from '../../../test/support/scratch.ts';
import { offerExtensions } from './extensions.ts';

let home: Scratch;
let build: string;

const PACKAGE: Readonly<Record<string, string>> = {
  'hstore.control': "default_version = '1.8'\ntrusted = true\n",
  'hstore--1.8.sql': 'SELECT 1;',
  'moddatetime.control': "default_version = '1.0'",
  'sslinfo.control': "trusted = false # as it came\ndefault_version = '1.2'\n",
  'dblink.control': "default_version = '1.2'\n",
};

beforeEach(() => {
  home = scratch('extensions');
  build = join(home.path, 'build');
  mkdirSync(extensions(), { recursive: true });
  for (const [file, text] of Object.entries(PACKAGE)) {
    writeFileSync(join(home.path, file), text);
    // As an installed build has them.
    linkSync(join(home.path, file), join(extensions(), file));
  }
});
afterEach(() => home.remove());

function extensions(): string {
  return join(build, 'share', 'postgresql', 'extension');
}

function controls(): string[] {
  return readdirSync(extensions())
    .filter((file) => file.endsWith('.control'))
    .sort();
}

it('an installed build lists the offered extensions only, each as trusted, and the package stays as it is', async () => {
  await offerExtensions(build);
  expect(controls()).toEqual(['hstore.control', 'moddatetime.control', 'sslinfo.control']);
  for (const file of controls()) {
    const lines = readFileSync(join(extensions(), file), 'utf8').trim().split('\n');
    expect([file, lines.filter((line) => line.startsWith('trusted'))]).toEqual([file, ['trusted = true']]);
    expect(lines.some((line) => line.startsWith('default_version'))).toBe(true);
  }
  for (const [file, text] of Object.entries(PACKAGE)) {
    expect([file, readFileSync(join(home.path, file), 'utf8')]).toEqual([file, text]);
  }
});

it('a build that an earlier version installed lists the offered extensions too, and is changed again only when the list changes', async () => {
  await offerExtensions(build);
  const made = readFileSync(join(extensions(), 'hstore.control'), 'utf8');
  rmSync(join(extensions(), 'hstore.control'));
  await offerExtensions(build);
  expect(controls()).not.toContain('hstore.control');
  // What is offered now and was not then is still there under another name.
  writeFileSync(join(extensions(), 'hstore.control.withheld'), PACKAGE['hstore.control'] as string);
  writeFileSync(join(build, 'EXTENSIONS'), 'moddatetime');
  await offerExtensions(build);
  expect(readFileSync(join(extensions(), 'hstore.control'), 'utf8')).toBe(made);
  expect(controls()).toEqual(['hstore.control', 'moddatetime.control', 'sslinfo.control']);
});
