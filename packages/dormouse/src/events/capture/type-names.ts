/**
 * Types as `format_type` names them with only pg_catalog in the search path: Postgres's own types by their plain names,
 * all others with their schema. The types listed are those that `pg-text` tells apart; every other type is text.
 */
const OIDS: ReadonlyMap<string, number> = new Map([
  ['boolean', 16],
  ['bytea', 17],
  ['bigint', 20],
  ['smallint', 21],
  ['integer', 23],
  ['text', 25],
  ['oid', 26],
  ['json', 114],
  ['real', 700],
  ['double precision', 701],
  ['money', 790],
  ['character', 1042],
  ['character varying', 1043],
  ['date', 1082],
  ['time without time zone', 1083],
  ['timestamp without time zone', 1114],
  ['timestamp with time zone', 1184],
  ['time with time zone', 1266],
  ['numeric', 1700],
  ['uuid', 2950],
  ['jsonb', 3802],
  ['boolean[]', 1000],
  ['bytea[]', 1001],
  ['bigint[]', 1016],
  ['smallint[]', 1005],
  ['integer[]', 1007],
  ['text[]', 1009],
  ['oid[]', 1028],
  ['json[]', 199],
  ['real[]', 1021],
  ['double precision[]', 1022],
  ['money[]', 791],
  ['character[]', 1014],
  ['character varying[]', 1015],
  ['date[]', 1182],
  ['time without time zone[]', 1183],
  ['timestamp without time zone[]', 1115],
  ['timestamp with time zone[]', 1185],
  ['time with time zone[]', 1270],
  ['numeric[]', 1231],
  ['uuid[]', 2951],
  ['jsonb[]', 3807],
]);

/**
 * The OID of a type if it is listed, else 0; `list` for an array type that is not listed, which only its name tells.
 */
export function typeOf(name: string): { readonly typeOid: number; readonly list?: true } {
  const typeOid = OIDS.get(name);
  if (typeOid !== undefined) return { typeOid };
  return name.endsWith('[]') ? { typeOid: 0, list: true } : { typeOid: 0 };
}
