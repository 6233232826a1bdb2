import type { Clock } from '../../base/index.ts';

/**
 * Calls `check` every `ms` until it fails or the signal fires; calls `failed` if it fails. Used to end open streams
 * whose key has been revoked.
 */
export function recheck(
  clock: Clock,
  ms: number,
  signal: AbortSignal,
  check: () => unknown,
  failed: (error: unknown) => void,
): void {
  let timer = clock.after(ms, tick);
  signal.addEventListener('abort', () => timer.cancel(), { once: true });
  function tick(): void {
    Promise.resolve()
      .then(check)
      .then(
        () => {
          if (!signal.aborted) timer = clock.after(ms, tick);
        },
        (error: unknown) => {
          if (!signal.aborted) failed(error);
        },
      );
  }
}
