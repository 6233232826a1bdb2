import { describe, expect, it } from 'vitest';
import { mayChangeSchema, mayChangeSchemaBytes, SchemaChanges } from './schema-changes.ts';

const bytes = (tag: string): boolean => mayChangeSchemaBytes(tag.charCodeAt(0), tag.length + 1);

describe('SchemaChanges', () => {
  it.each(['ALTER TABLE', 'ALTER TYPE', 'CREATE TABLE', 'CREATE TYPE', 'CREATE VIEW', 'ALTER ROLE', 'DO', 'CALL'])(
    'the command %s may change a table',
    (tag) => {
      expect(mayChangeSchema(tag)).toBe(true);
      expect(bytes(tag)).toBe(true);
    },
  );

  it.each([
    'SELECT 1',
    'INSERT 0 1',
    'UPDATE 12345',
    'DELETE 1',
    'DELETE 1234567',
    'BEGIN',
    'COMMIT',
    'ANALYZE',
    'COMMENT',
    'COPY 12',
  ])('the command %s changes no table', (tag) => {
    expect(mayChangeSchema(tag)).toBe(false);
    expect(bytes(tag)).toBe(false);
  });

  it('changes of the schema are counted', () => {
    const changes = new SchemaChanges();
    changes.note();
    changes.note();
    expect(changes.count).toBe(2);
  });
});
