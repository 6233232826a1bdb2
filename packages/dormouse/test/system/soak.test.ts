import { expect, it } from 'vitest';
import { soak } from '../soak/soak.ts';
import { seeded } from '../support/seeded.ts';

// A short run of `npm run soak`.
it('clients of every kind, vanishing ones too, leave nothing behind and get no wrong reply', async () => {
  const report = await soak({ ms: 12_000, random: seeded(20_261_123).next });
  // The soak did run: every kind of client sent a request at least once in every round.
  for (const kind of ['reads', 'writes', 'transactions', 'raw bodies', 'session queries']) {
    expect(report.answers[kind], kind).toBeGreaterThanOrEqual(report.rounds);
  }
  expect(report.vanished).toBeGreaterThanOrEqual(report.rounds);
  expect(report.changes).toBeGreaterThanOrEqual(report.rounds);
}, 300_000);
