import { expect, it } from 'vitest';
import { segmentsOf } from './trim-wal.ts';

it('the segments of a checkpoint are named as Postgres names them, two where its record may reach into the next segment', () => {
  expect(segmentsOf(0x1_234568n)).toEqual(['000000010000000000000012']);
  // SELECT pg_walfile_name('A/FFF01234') with segments of 1 MiB.
  expect(segmentsOf(0xa_fff01234n)).toEqual(['000000010000000A00000FFF']);
  expect(segmentsOf(0x2_ffffffe0n)).toEqual(['000000010000000200000FFF', '000000010000000300000000']);
});
