import { expect, it } from 'vitest';
import { soak } from '../soak/soak.ts';
import { seeded } from '../support/seeded.ts';

// The short form of `npm run soak`.
it('every kind of client, vanishing ones too, leaves nothing behind and gets no wrong answer', async () => {
  const report = await soak({ ms: 12_000, random: seeded(20_261_123).next });
  // It looked: every kind of client asked, in every round at least once.
  for (const kind of ['reads', 'writes', 'transactions', 'raw bodies', 'session queries']) {
    expect(report.answers[kind], kind).toBeGreaterThanOrEqual(report.rounds);
  }
  expect(report.vanished).toBeGreaterThanOrEqual(report.rounds);
  expect(report.changes).toBeGreaterThanOrEqual(report.rounds);
}, 300_000);
