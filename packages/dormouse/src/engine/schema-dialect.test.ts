import { describe, expect, it } from 'vitest';
import { forSchemaValidator, providerOf } from './schema-dialect.ts';

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

describe('a schema of Prisma 6 for the validator of 7', () => {
  it('loses its URLs and the preview features that 7 does not know, and keeps its lines', () => {
    const adapted = forSchemaValidator(SCHEMA);
    expect(adapted.split('\n')).toHaveLength(SCHEMA.split('\n').length);
    expect(adapted).not.toMatch(/env\(|directUrl|metrics|driverAdapters/);
    expect(adapted).toContain('previewFeatures = ["relationJoins"]');
    expect(adapted).toContain('output          = "../out"');
    expect(adapted).toContain('schemas   = ["public", "other"]');
    expect(adapted).toContain('  url String');
  });

  it('loses a list that has no known feature', () => {
    expect(forSchemaValidator('generator g {\n previewFeatures = ["metrics", "tracing"]\n}')).toBe(
      'generator g {\n\n}',
    );
  });

  it('is left alone where there is nothing to adapt, however odd', () => {
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

describe('the provider', () => {
  it('is that of the datasource', () => {
    expect(providerOf(SCHEMA)).toBe('postgresql');
    expect(providerOf('generator g {\n provider = "x"\n}')).toBeUndefined();
    expect(providerOf('datasource db {\n url = env("X")\n}\ngenerator g {\n provider = "x"\n}')).toBeUndefined();
  });
});
