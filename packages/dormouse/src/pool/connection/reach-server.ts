import type { Clock, Deadline } from '../../base/index.ts';
import type { Hold, Instance } from '../../instance/index.ts';
import { opensLater } from '../../session/index.ts';

/** The pause between two tries to connect while the server starts, recovers, or is full. */
const RECONNECT_MS = 20;

export interface ReachOptions<T> {
  readonly instance: Instance;
  readonly clock: Clock;
  readonly deadline: Deadline;
  /** A hold that the caller has already; it goes over to the result. */
  readonly held?: Hold | undefined;
  /** Called with the time that each wait for a hold took, in milliseconds. */
  readonly onWaked?: (ms: number) => void;
  /** Connects, under a hold. */
  readonly attempt: () => Promise<T>;
  /** Whether a failed attempt may succeed a moment later, beyond the failures that `opensLater` names. */
  readonly passes?: (error: unknown) => boolean;
  /** Throws if the caller no longer wants the result; called after each failed attempt that may be tried again. */
  readonly check?: () => void;
  /** The error for a deadline that has passed, with the last failure as its reason. */
  readonly late: (error: unknown) => Error;
}

export interface Reached<T> {
  readonly reached: T;
  readonly hold: Hold;
}

/**
 * Takes a hold on an instance, which wakes its server, and connects; tries again with a new hold while the server is
 * between two runs. Fails with what `Instance.hold` fails with, a failure of `attempt` that does not pass, or `late`.
 */
export async function reachServer<T>(options: ReachOptions<T>): Promise<Reached<T>> {
  const { instance, clock, deadline, attempt } = options;
  let hold = options.held;
  for (;;) {
    hold ??= instance.tryHold() ?? (await waitForHold(options));
    try {
      return { reached: await attempt(), hold };
    } catch (error) {
      hold.release();
      hold = undefined;
      if (!opensLater(error) && options.passes?.(error) !== true) throw error;
      options.check?.();
      if (deadline.remainingMs() <= RECONNECT_MS) throw options.late(error);
      await new Promise<void>((resolve) => clock.after(RECONNECT_MS, resolve));
    }
  }
}

async function waitForHold<T>({ instance, clock, deadline, onWaked }: ReachOptions<T>): Promise<Hold> {
  const startMs = clock.monotonic();
  try {
    return await instance.hold(deadline);
  } finally {
    onWaked?.(clock.monotonic() - startMs);
  }
}
