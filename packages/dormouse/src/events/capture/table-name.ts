import type { TableName } from '../log/index.ts';

/**
 * A table's name as text, `schema.table`. A part with a dot or a quote in it is quoted as in SQL, so that no two tables
 * have the same text; every other part is left as it is.
 */
export function tableText({ schema, name }: TableName): string {
  return `${part(schema)}.${part(name)}`;
}

function part(name: string): string {
  return /[."]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name;
}
