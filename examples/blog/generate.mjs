// `prisma generate`, when the schema is newer than what was generated from it.
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('./', import.meta.url));
const changedMs = (file) => statSync(path.join(here, file), { throwIfNoEntry: false })?.mtimeMs ?? 0;

if (changedMs('src/generated/client.ts') < Math.max(changedMs('prisma/schema.prisma'), changedMs('package.json'))) {
  const prisma = path.join(
    path.dirname(createRequire(import.meta.url).resolve('prisma/package.json')),
    'build/index.js',
  );
  execFileSync(process.execPath, [prisma, 'generate', '--schema', 'prisma/schema.prisma', '--no-hints'], {
    cwd: here,
    stdio: 'pipe',
    // Generating needs no engine, but looks for one on the network unless it is named. Any program will do.
    env: {
      ...process.env,
      PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
      PRISMA_HIDE_UPDATE_MESSAGE: '1',
      CHECKPOINT_DISABLE: '1',
    },
  });
}
