// Bundles the page into the platform's build, which serves it as it is: one page, one script, one style sheet, one
// icon.
import { copyFileSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const source = fileURLToPath(new URL('./src/', import.meta.url));
const target = fileURLToPath(new URL('../dormouse/dist/dashboard/', import.meta.url));

mkdirSync(target, { recursive: true });
await build({
  entryPoints: [`${source}dashboard.ts`, `${source}dashboard.css`],
  outdir: target,
  bundle: true,
  minify: true,
  format: 'esm',
  target: ['es2022'],
  legalComments: 'none',
  logLevel: 'warning',
});
for (const file of ['index.html', 'icon.svg']) copyFileSync(source + file, target + file);
