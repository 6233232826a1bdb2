import type { TableName } from '../log/index.ts';

/**
 * A table's name as text, `schema.table`: a part with a dot or a quote in it is quoted as Postgres quotes it, so that
 * no two tables have one name, and all others are as they are.
 */
export function tableText({ schema, name }: TableName): string {
  return `${part(schema)}.${part(name)}`;
}

function part(name: string): string {
  return /[."]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name;
}
