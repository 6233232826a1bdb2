import { expect, it } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { DormouseError, silentLogger } from '../../base/index.ts';
import { JobFailed } from '../../threads/job-thread.ts';
import type { SchemaFacts } from './compiler-protocol.ts';
import { MetadataReading } from './metadata-reading.ts';

const PARAMETERS = { graph: {}, enums: {} } as unknown as NonNullable<SchemaFacts['parameters']>;

function reading(clock: ManualClock, outcomes: (Error | SchemaFacts)[]): { it: MetadataReading; reads: () => number } {
  let reads = 0;
  const read = async (): Promise<SchemaFacts> => {
    const outcome = outcomes[reads++] as Error | SchemaFacts;
    if (outcome instanceof Error) throw outcome;
    return outcome;
  };
  return { it: new MetadataReading({ clock, log: silentLogger, read }), reads: () => reads };
}
const late = new JobFailed({ reason: 'deadline', message: 'it took longer' });

it('the reading of metadata is repeated after a failure, on demand and after a growing delay', async () => {
  const clock = new ManualClock();
  const { it: one, reads } = reading(clock, [
    late,
    new JobFailed({ reason: 'panic', message: 'memory' }),
    { parameters: PARAMETERS },
  ]);
  let told = 0;
  one.onRead = () => told++;
  await Promise.all([one.want(), one.want()]);
  expect(reads()).toBe(1);
  clock.advance(9_999);
  await one.want();
  expect(reads()).toBe(1);
  clock.advance(1);
  await one.want();
  expect([reads(), one.parameters, told]).toEqual([2, undefined, 0]);
  clock.advance(19_999);
  await one.want();
  expect(reads()).toBe(2);
  clock.advance(1);
  await one.want();
  expect([reads(), one.parameters, told]).toEqual([3, PARAMETERS, 1]);
  clock.advance(1e9);
  await one.want();
  expect([reads(), told]).toEqual([3, 1]);
});

it('the reading of metadata is not repeated after a refusal or at shutdown', async () => {
  for (const error of [
    new JobFailed({ reason: 'refused', message: 'too large' }),
    new DormouseError('shutting_down'),
  ]) {
    const clock = new ManualClock();
    const { it: one, reads } = reading(clock, [error]);
    await one.want();
    clock.advance(1e9);
    await one.want();
    expect(reads()).toBe(1);
  }
});
