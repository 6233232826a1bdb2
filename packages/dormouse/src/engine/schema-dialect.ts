/**
 * Makes a schema of Prisma 6 one that the validator of Prisma 7 takes: without connection URLs (7 has them elsewhere) and
 * without preview features that 7 does not know. Neither changes how a query compiles. Line numbers stay, for messages.
 */

/** The preview features that 7.10 knows; it refuses a schema that names another. */
const KNOWN_FEATURES = new Set([
  'fullTextSearchPostgres',
  'nativeDistinct',
  'partialIndexes',
  'postgresqlExtensions',
  'relationJoins',
  'schemaEngineDriverAdapters',
  'shardKeys',
  'strictUndefinedChecks',
  'typedSql',
  'views',
]);

const BLOCK_START = /^\s*(datasource|generator)\s+\w+\s*\{/;
const FEATURES_PROPERTY = /^\s*previewFeatures\s*=/;
const URL_PROPERTY = /^\s*(?:url|directUrl|shadowDatabaseUrl)\s*=/;

/** See above. */
export function forSchemaValidator(schema: string): string {
  const lines = schema.split('\n');
  let block: 'datasource' | 'generator' | undefined;
  for (let index = 0; index < lines.length; index++) {
    const line = withoutComment(lines[index] ?? '');
    if (block === undefined) {
      const start = BLOCK_START.exec(line);
      if (start !== null && !line.includes('}')) block = start[1] as typeof block;
    } else if (line.includes('}')) {
      block = undefined;
    } else if (block === 'datasource') {
      if (URL_PROPERTY.test(line)) lines[index] = '';
    } else if (FEATURES_PROPERTY.test(line)) {
      index = keepKnownFeatures(lines, index);
    }
  }
  return lines.join('\n');
}

/** Rewrites a list of preview features, which may go over several lines; gives the index of its last line. */
function keepKnownFeatures(lines: string[], first: number): number {
  let last = first;
  let text = withoutComment(lines[first] ?? '');
  while (!text.includes(']') && last + 1 < lines.length) {
    last++;
    text += withoutComment(lines[last] ?? '');
    lines[last] = '';
  }
  const names = (text.match(/"[^"]*"/g) ?? []).filter((name) => KNOWN_FEATURES.has(name.slice(1, -1)));
  lines[first] = names.length === 0 ? '' : `  previewFeatures = [${names.join(', ')}]`;
  return last;
}

/** Strings of these blocks may hold `//` (URLs), so quotes are minded. */
function withoutComment(line: string): string {
  let quoted = false;
  for (let at = 0; at < line.length; at++) {
    const char = line[at];
    if (char === '\\' && quoted) at++;
    else if (char === '"') quoted = !quoted;
    else if (!quoted && char === '/' && line[at + 1] === '/') return line.slice(0, at);
  }
  return line;
}

/** The provider that the schema's datasource names, or undefined. */
export function providerOf(schema: string): string | undefined {
  const start = /^\s*datasource\s+\w+\s*\{/m.exec(schema);
  if (start === null) return undefined;
  const block = schema.slice(start.index + start[0].length).split(/^\s*\}/m, 1)[0] ?? '';
  return /^\s*provider\s*=\s*"([^"]*)"/m.exec(block)?.[1];
}
