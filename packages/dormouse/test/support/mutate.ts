import type { Seeded } from './seeded.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Values that a reader of JSON may not have thought of. */
const ODD: readonly Json[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e300,
  2 ** 60,
  '',
  'x',
  '\u0000',
  '__proto__',
  'constructor',
  [],
  [null],
  [[]],
  {},
  { $type: 'DateTime', value: 'never' },
  { $type: 'Param', value: 'x' },
  { $type: 'Nothing' },
  { type: 'x', args: {} },
];

function nodes(value: Json, into: { holder: Json[] | { [key: string]: Json }; key: string | number }[]): void {
  if (Array.isArray(value)) {
    for (const [i, each] of value.entries()) {
      into.push({ holder: value, key: i });
      nodes(each, into);
    }
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, each] of Object.entries(value)) {
      into.push({ holder: value, key });
      nodes(each, into);
    }
  }
}

/** A copy of a JSON text with one to three of its values replaced, removed, doubled or swapped. */
export function mutated(text: string, random: Seeded): string {
  const value = JSON.parse(text) as Json;
  for (let times = 1 + random.below(3); times > 0; times--) {
    const places: { holder: Json[] | { [key: string]: Json }; key: string | number }[] = [];
    nodes(value, places);
    if (places.length === 0) break;
    const { holder, key } = random.pick(places);
    const other = random.pick(places);
    const at = holder as Record<string | number, Json>;
    switch (random.below(5)) {
      case 0:
        if (Array.isArray(holder)) holder.splice(Number(key), 1);
        else delete at[key];
        break;
      case 1:
        if (Array.isArray(holder)) holder.push(structuredClone(at[key] as Json));
        else at[`${key}_`] = structuredClone(at[key] as Json);
        break;
      case 2:
        at[key] = structuredClone((other.holder as Record<string | number, Json>)[other.key] as Json);
        break;
      default:
        at[key] = structuredClone(random.pick(ODD));
    }
  }
  return JSON.stringify(value);
}
