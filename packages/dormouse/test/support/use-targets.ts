import { afterAll, beforeAll } from 'vitest';
import { CLIENT_VERSIONS, type Loose } from './clients.ts';
import { runSql } from './push-schema.ts';
import { startTargets, type Targets, targetKind } from './target.ts';

/**
 * Starts targets before a suite and stops them after it. What it gives can be asked from the suite's hooks and tests
 * on.
 */
export function useTargets(options: Parameters<typeof startTargets>[0] = {}): Targets {
  let started: Targets | undefined;
  beforeAll(async () => {
    started = await startTargets(options);
  });
  afterAll(() => started?.stop());
  return {
    kind: options.kind ?? targetKind(),
    of(version) {
      if (started === undefined) throw new Error('the targets are not started yet');
      return started.of(version);
    },
    stop: async () => started?.stop(),
  };
}

/**
 * The platform and the vendor's own engine, for suites that hold one to the other. `sql` runs on each database of both
 * first.
 */
export function useBothTargets(sql?: string): { readonly ours: Targets; readonly theirs: Targets } {
  const ours = useTargets({ kind: 'platform' });
  const theirs = useTargets({ kind: 'vendor' });
  beforeAll(async () => {
    if (sql === undefined) return;
    for (const targets of [ours, theirs]) {
      for (const version of CLIENT_VERSIONS) await runSql(targets.of(version).postgresUrl, sql);
    }
  });
  return { ours, theirs };
}

/** The error that a promise must end with. */
export function failure(asked: Promise<unknown>): Promise<Loose> {
  return asked.then(
    (value) => {
      throw new Error(`expected a failure, got ${JSON.stringify(value)}`);
    },
    (error: unknown) => error,
  );
}
