/**
 * Converts a schema of Prisma 6 to one that the validator of Prisma 7 accepts: it removes connection URLs, which Prisma
 * 7 does not have in the schema, and preview features that Prisma 7 does not know. Neither changes how a query
 * compiles. Line numbers stay the same, because error messages contain them.
 */

/**
 * The preview features, in lower case, that the validators of both 6.0 to 6.19 and 7.10 accept. `fullTextSearch` is the
 * earlier name of `fullTextSearchPostgres`. Only `metrics` is missing: the validator of 7.10 refuses it, and it does
 * not change queries. Validators ignore the case of these names.
 */
export const KNOWN_FEATURES: ReadonlySet<string> = new Set(
  [
    ...['aggregateApi', 'atomicNumberOperations', 'clientExtensions', 'cockroachdb', 'connectOrCreate', 'createMany'],
    ...['dataProxy', 'deno', 'distinct', 'driverAdapters', 'extendedIndexes', 'extendedWhereUnique', 'fieldReference'],
    ...['filterJson', 'filteredRelationCount', 'fullTextIndex', 'fullTextSearch', 'fullTextSearchPostgres', 'groupBy'],
    ...['improvedQueryRaw', 'interactiveTransactions', 'jsonProtocol', 'microsoftSqlServer', 'middlewares', 'mongoDb'],
    ...['multiSchema', 'namedConstraints', 'nApi', 'nativeDistinct', 'nativeTypes', 'omitApi', 'orderByAggregateGroup'],
    ...['orderByNulls', 'orderByRelation', 'partialIndexes', 'postgresqlExtensions', 'prismaSchemaFolder'],
    ...['queryCompiler', 'reactNative', 'referentialActions', 'referentialIntegrity', 'relationJoins'],
    ...['schemaEngineDriverAdapters', 'selectRelationCount', 'shardKeys', 'strictUndefinedChecks', 'tracing'],
    ...['transactionApi', 'typedSql', 'uncheckedScalarInputs', 'views'],
  ].map((name) => name.toLowerCase()),
);

const BLOCK_START = /^\s*(datasource|generator)\s+\w+\s*\{/;
const FEATURES_PROPERTY = /^\s*previewFeatures\s*=/;
const URL_PROPERTY = /^\s*(?:url|directUrl|shadowDatabaseUrl)\s*=/;

/** Converts a schema of Prisma 6 for the validator of Prisma 7. */
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

/** Rewrites a list of preview features, which may span several lines. Gives the index of the list's last line. */
function keepKnownFeatures(lines: string[], first: number): number {
  let last = first;
  let text = withoutComment(lines[first] ?? '');
  // A single name may stand without brackets.
  const isList = /=\s*(?:\[|$)/.test(text);
  while (isList && !text.includes(']') && last + 1 < lines.length) {
    last++;
    text += withoutComment(lines[last] ?? '');
    lines[last] = '';
  }
  const names = (text.match(/"[^"]*"/g) ?? []).filter((name) => KNOWN_FEATURES.has(name.slice(1, -1).toLowerCase()));
  lines[first] = names.length === 0 ? '' : `  previewFeatures = [${names.join(', ')}]`;
  return last;
}

/** A line without its comment. A `//` within quotes, as in a URL, begins no comment. */
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

/** The provider of the schema's datasource, or undefined. */
export function providerOf(schema: string): string | undefined {
  const start = /^\s*datasource\s+\w+\s*\{/m.exec(schema);
  if (start === null) return undefined;
  const block = schema.slice(start.index + start[0].length).split(/^\s*\}/m, 1)[0] ?? '';
  return /^\s*provider\s*=\s*"([^"]*)"/m.exec(block)?.[1];
}
