import type { ArgType } from '@prisma/driver-adapter-utils';

/**
 * The parameters of a statement as Prisma 6 logs them, in the form of its Postgres connector `quaint`: texts in quotes
 * with nothing escaped, instants in UTC, bytes by their number.
 */
export function quaintParameters(args: readonly unknown[], types: readonly (ArgType | undefined)[]): string {
  return `[${args.map((value, index) => shown(value, types[index])).join(',')}]`;
}

function shown(value: unknown, type: ArgType | undefined): string {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return `[${value.map((element) => shown(element, type)).join(',')}]`;
  if (ArrayBuffer.isView(value)) return bytes(value.byteLength);
  switch (type?.scalarType) {
    case 'int':
    case 'bigint':
    case 'float':
    case 'decimal':
    case 'boolean':
      return String(value);
    case 'json':
      return typeof value === 'string' ? value : JSON.stringify(value);
    case 'bytes':
      return typeof value === 'string' ? bytes(Buffer.byteLength(value, 'base64')) : `"${String(value)}"`;
    case 'datetime':
      return `"${instant(value)}"`;
    default:
      return typeof value === 'string'
        ? `"${value}"`
        : typeof value === 'object'
          ? JSON.stringify(value)
          : String(value);
  }
}

function bytes(count: number): string {
  return `<${count} bytes blob>`;
}

/** An instant. Dates and times of day are written as whole instants too. */
function instant(value: unknown): string {
  const date = value instanceof Date ? value : new Date(String(value));
  if (Number.isNaN(date.getTime())) return String(value);
  const [day = '', time = ''] = date.toISOString().replace('Z', '').split('T');
  return `${day} ${time.replace(/\.000$/, '')} UTC`;
}
