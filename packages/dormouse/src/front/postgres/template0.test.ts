import { expect, it } from 'vitest';
import { mayNeedTemplate0 } from './template0.ts';

const asked = (text: string): boolean => mayNeedTemplate0(Buffer.from(text));

it('a statement that makes a database from template0 is recognised', () => {
  for (const text of [
    "CREATE DATABASE a WITH TEMPLATE = template0 ENCODING = 'UTF8'",
    'create database "ä" template "template0"',
    'Q\0\0\0\x30CREATE\n  DATABASE a TEMPLATE TEMPLATE0;\0',
    'create /* by a tool */ database a template template0',
    "-- made by a tool\nCREATE DATABASE a\n  ENCODING 'UTF8'\n  TEMPLATE template0",
  ]) {
    expect([text, asked(text)]).toEqual([text, true]);
  }
});

it('a question for the list of databases, or data, is not taken for a statement that makes a database', () => {
  for (const text of [
    "SELECT datname FROM pg_database WHERE datname NOT IN ('template0', 'template1')",
    'CREATE DATABASE a',
    'DROP DATABASE template0',
    `CREATE DATABASE a TEMPLATE template0 ${'x'.repeat(10_000)}`,
    '',
  ]) {
    expect([text.slice(0, 80), asked(text)]).toEqual([text.slice(0, 80), false]);
  }
});
