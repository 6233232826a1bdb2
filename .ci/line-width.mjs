// Comments and prose stay within 120 columns. The formatter keeps code there. What cannot be broken may be longer: a
// string, a regular expression, a table or a block of code in Markdown.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

const WIDTH_MAX = 120;
/** A directive to the linter must stand on one line. */
const DIRECTIVE = /biome-ignore|@ts-expect-error/;
const COMMENT = /^\s*(?:\/\/|\/\*|\*)|\s\/\/ [^'"`]*$/;

const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.ts', '*.mts', '*.mjs', '*.md'], {
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '' && existsSync(file));

/** The numbers of the lines that are too wide. */
function tooWide(file) {
  const markdown = file.endsWith('.md');
  let inBlock = false;
  const found = [];
  for (const [index, line] of readFileSync(file, 'utf8').split('\n').entries()) {
    if (markdown && /^\s*```/.test(line)) inBlock = !inBlock;
    const prose = markdown ? !inBlock && !/^\s*\|/.test(line) : COMMENT.test(line) && !DIRECTIVE.test(line);
    if (prose && [...line].length > WIDTH_MAX && /\s/.test(line.trim())) found.push(index + 1);
  }
  return found;
}

const wrong = files.flatMap((file) => tooWide(file).map((line) => `${file}:${line}`));
for (const place of wrong) console.error(`${place}: a comment or a paragraph is wider than ${WIDTH_MAX} columns`);
if (files.length < 500) console.error(`only ${files.length} files were looked at`);
process.exit(wrong.length > 0 || files.length < 500 ? 1 : 0);
