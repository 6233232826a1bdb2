import { DormouseError } from './errors.ts';

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** Identity of a database: `db_` and 20 characters of [a-z0-9]. Stable over renames, never reused. */
export type DatabaseId = Branded<'DatabaseId'>;
/** Identity of a key: `key_` and 20 characters of [a-z0-9]. */
export type KeyId = Branded<'KeyId'>;
/** Identity of one request, the part of `cf-ray` before the dash: 16 hexadecimal digits. */
export type RequestId = Branded<'RequestId'>;
/** Identity of an interactive transaction as given to a client: 32 hexadecimal digits, unguessable. */
export type TransactionId = Branded<'TransactionId'>;
/** Identity of one history of a database (new on create, branch and restore): 16 hexadecimal digits. */
export type Epoch = Branded<'Epoch'>;

/** `length` random bytes. Node and Workers both offer `crypto.getRandomValues`; tests give a seeded one. */
export type RandomBytes = (length: number) => Uint8Array;

/** The random source of the platform: the Web Crypto generator, present in Node and in Workers. */
export const cryptoRandom: RandomBytes = (length) => crypto.getRandomValues(new Uint8Array(length));

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';
const ID_LENGTH = 20;

function randomName(random: RandomBytes): string {
  let out = '';
  while (out.length < ID_LENGTH) {
    for (const byte of random(ID_LENGTH * 2)) {
      // 252 = 7 × 36: bytes above would favour the first letters.
      if (byte < 252 && out.length < ID_LENGTH) out += ALPHABET[byte % 36];
    }
  }
  return out;
}

/** `00` to `ff`, written once, because every request has an id. */
const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

function hex(bytes: Uint8Array): string {
  let out = '';
  for (let at = 0; at < bytes.length; at++) out += HEX[bytes[at] as number];
  return out;
}

export function newDatabaseId(random: RandomBytes): DatabaseId {
  return `db_${randomName(random)}` as DatabaseId;
}
export function newKeyId(random: RandomBytes): KeyId {
  return `key_${randomName(random)}` as KeyId;
}
export function newRequestId(random: RandomBytes): RequestId {
  return hex(random(8)) as RequestId;
}
/** The ids of many requests, drawn at once. */
export function newRequestIds(random: RandomBytes, count: number): RequestId[] {
  const text = hex(random(8 * count));
  return Array.from({ length: count }, (_, index) => text.slice(16 * index, 16 * (index + 1)) as RequestId);
}
export function newTransactionId(random: RandomBytes): TransactionId {
  return hex(random(16)) as TransactionId;
}
export function newEpoch(random: RandomBytes): Epoch {
  return hex(random(8)) as Epoch;
}

function parser<T extends string>(pattern: RegExp): (text: string) => T | undefined {
  return (text) => (pattern.test(text) ? (text as T) : undefined);
}

export const parseDatabaseId: (text: string) => DatabaseId | undefined = parser(/^db_[a-z0-9]{20}$/);
export const parseKeyId: (text: string) => KeyId | undefined = parser(/^key_[a-z0-9]{20}$/);
export const parseTransactionId: (text: string) => TransactionId | undefined = parser(/^[0-9a-f]{32}$/);
export const parseEpoch: (text: string) => Epoch | undefined = parser(/^[0-9a-f]{16}$/);

const DATABASE_NAME = /^[a-z][a-z0-9-]{0,62}$/;

/** Checks a database's name; throws `name_invalid` with the rule. */
export function checkDatabaseName(name: string): string {
  if (!DATABASE_NAME.test(name)) {
    throw new DormouseError('name_invalid', {
      message: `"${name.slice(0, 80)}" is not a database name: use a-z, 0-9 and dashes, start with a letter, at most 63 characters.`,
    });
  }
  return name;
}
