import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, sep } from 'node:path';
import { type ClientVersion, type Loose, requireOf } from './clients.ts';
import type { Scratch } from './scratch.ts';

/**
 * The stock `@prisma/extension-pulse` beside the client of a version. npm hoists the one copy next to Prisma 6, so for
 * each version it stands in a folder of its own, with that version's client as its neighbour.
 */
export function loadPulse(version: ClientVersion, home: Scratch): Loose {
  const require = requireOf(version);
  const modules = join(home.path, `pulse${version}`, 'node_modules');
  const packageOf = (name: string): string => {
    const entry = require.resolve(name);
    const folder = join('node_modules', ...name.split('/')) + sep;
    return entry.slice(0, entry.lastIndexOf(folder) + folder.length);
  };
  mkdirSync(join(modules, '@prisma'), { recursive: true });
  cpSync(packageOf('@prisma/extension-pulse'), join(modules, '@prisma/extension-pulse'), { recursive: true });
  symlinkSync(packageOf('@prisma/client'), join(modules, '@prisma/client'));
  symlinkSync(
    dirname(createRequire(packageOf('@prisma/extension-pulse')).resolve('ws/package.json')),
    join(modules, 'ws'),
  );
  return createRequire(join(modules, 'entry.js'))('@prisma/extension-pulse');
}
