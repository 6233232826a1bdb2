import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { forSchemaValidator, KNOWN_FEATURES, providerOf } from './schema-dialect.ts';

const SCHEMA = `generator client {
  provider        = "prisma-client-js"
  previewFeatures = [
    "metrics", // gone in 7
    "relationJoins",
    "driverAdapters"
  ]
  output          = "../out"
}
// datasource old {
datasource db {
  provider  = "postgresql"
  url       = env("DATABASE_URL") // "https://example.com"
  directUrl = "postgres://a:b@c/d"
  schemas   = ["public", "other"]
}
model A {
  url String
}`;

describe('a schema of Prisma 6, converted for the validator of Prisma 7', () => {
  it('a converted schema loses its URLs and the preview features that Prisma 7 does not know, and keeps its line numbers', () => {
    const adapted = forSchemaValidator(SCHEMA);
    expect(adapted.split('\n')).toHaveLength(SCHEMA.split('\n').length);
    expect(adapted).not.toMatch(/env\(|directUrl|metrics/);
    expect(adapted).toContain('previewFeatures = ["relationJoins", "driverAdapters"]');
    expect(adapted).toContain('output          = "../out"');
    expect(adapted).toContain('schemas   = ["public", "other"]');
    expect(adapted).toContain('  url String');
  });

  it('a converted schema loses a list of preview features of which none is known', () => {
    expect(forSchemaValidator('generator g {\n previewFeatures = ["metrics", "ofTomorrow"]\n}')).toBe(
      'generator g {\n\n}',
    );
  });

  it('a converted schema loses only the preview feature if the feature stands without brackets', () => {
    const schema =
      'generator g {\n previewFeatures = "metrics"\n provider = "p"\n}\nmodel A {\n id Int @id\n list A[]\n}';
    expect(forSchemaValidator(schema)).toBe(schema.replace(' previewFeatures = "metrics"', ''));
    expect(forSchemaValidator(schema.replace('metrics', 'views'))).toContain('previewFeatures = ["views"]');
  });

  it('a converted schema keeps its line numbers, however odd the text of the schema is', () => {
    for (const text of [
      '',
      '}',
      'generator g {',
      'generator g {\n previewFeatures = [',
      'datasource db { }\nurl = 1',
    ]) {
      expect(forSchemaValidator(text).split('\n')).toHaveLength(text.split('\n').length);
    }
  });
});

/** The preview features that the validators of 6.0, 6.8 or 6.19 accept, by their effect on the queries of a client. */
const FEATURES_OF_6: Readonly<Record<string, readonly string[]>> = {
  search: ['fullTextSearch', 'fullTextSearchPostgres', 'fulltextsearch', 'FULLTEXTSEARCHPOSTGRES'],
  relationLoadStrategy: ['relationJoins', 'RelationJoins'],
  nothing: [
    ...['aggregateApi', 'atomicNumberOperations', 'clientExtensions', 'cockroachdb', 'connectOrCreate', 'createMany'],
    ...['dataProxy', 'deno', 'distinct', 'driverAdapters', 'extendedIndexes', 'extendedWhereUnique', 'fieldReference'],
    ...['filterJson', 'filteredRelationCount', 'fullTextIndex', 'groupBy', 'improvedQueryRaw', 'metrics', 'mongoDb'],
    ...['interactiveTransactions', 'jsonProtocol', 'microsoftSqlServer', 'middlewares', 'multiSchema', 'nApi'],
    ...['namedConstraints', 'nativeDistinct', 'nativeTypes', 'omitApi', 'orderByAggregateGroup', 'orderByNulls'],
    ...['orderByRelation', 'postgresqlExtensions', 'prismaSchemaFolder', 'queryCompiler', 'reactNative', 'views'],
    ...['referentialActions', 'referentialIntegrity', 'schemaEngineDriverAdapters', 'selectRelationCount', 'shardKeys'],
    ...['strictUndefinedChecks', 'tracing', 'transactionApi', 'typedSql', 'uncheckedScalarInputs'],
  ],
};

describe('a preview feature of Prisma 6', () => {
  const validator = createRequire(import.meta.url)('@prisma/prisma-schema-wasm') as {
    get_dmmf(parameters: string): string;
  };
  const metadata = (feature: string): string => {
    const prismaSchema = `generator client {
  provider = "prisma-client-js"
  previewFeatures = [${feature}]
}
datasource db {
  provider = "postgresql"
  url = env("X")
}
model A {
  id Int @id
  text String
  list B[]
}
model B {
  id Int @id
  a A @relation(fields: [aId], references: [id])
  aId Int
}`;
    return validator.get_dmmf(JSON.stringify({ prismaSchema: [['a.prisma', forSchemaValidator(prismaSchema)]] }));
  };
  const without = metadata('');

  it.each(Object.entries(FEATURES_OF_6).flatMap(([effect, names]) => names.map((name) => [name, effect] as const)))(
    'the preview feature %s is accepted by the validator of Prisma 7 and brings %s',
    (name, effect) => {
      const withIt = metadata(`"${name}"`);
      if (effect === 'nothing') expect(withIt).toBe(without);
      else {
        expect(withIt).toContain(`"${effect}"`);
        expect(without).not.toContain(`"${effect}"`);
      }
    },
  );

  it('a preview feature of Prisma 6 is kept if the validator of Prisma 7 knows the feature', () => {
    const names = Object.values(FEATURES_OF_6).flat();
    const kept = new Set(names.map((name) => name.toLowerCase()).filter((name) => KNOWN_FEATURES.has(name)));
    expect(names.filter((name) => !kept.has(name.toLowerCase()))).toEqual(['metrics']);
    // New in Prisma 7.
    expect([...KNOWN_FEATURES].filter((name) => !kept.has(name))).toEqual(['partialindexes']);
  });
});

describe('the provider of a schema', () => {
  it('the provider of a schema is the provider of its datasource', () => {
    expect(providerOf(SCHEMA)).toBe('postgresql');
    expect(providerOf('generator g {\n provider = "x"\n}')).toBeUndefined();
    expect(providerOf('datasource db {\n url = env("X")\n}\ngenerator g {\n provider = "x"\n}')).toBeUndefined();
  });
});
