import type { DatabaseId, LimitOverrides, Logger } from '../../base/index.ts';
import { type LimitGroups, limitsUnavailable } from './limit-groups.ts';
import { type Limits, limitsOf } from './limits.ts';

/** Whether the kernel can hold servers to limits of memory, processor and processes. */
export interface LimitsState {
  /** Whether the kernel does so: only once a limit was asked for. */
  readonly enforced: boolean;
  /** Why the kernel does not, although one of the databases has a limit. */
  readonly reason?: string;
}

export interface ServerLimitsOptions {
  readonly groups: LimitGroups;
  /** The limits of every database that has none of its own. */
  readonly defaults: Limits;
  readonly logger: Logger;
}

/** What each server may take: the platform's limits, and those of its database where they differ. */
export class ServerLimits {
  readonly #options: ServerLimitsOptions;
  readonly #databases = new Set<DatabaseId>();
  #reason: string | undefined;

  constructor(options: ServerLimitsOptions) {
    this.#options = options;
  }

  get state(): LimitsState {
    const { groups } = this.#options;
    return {
      enforced: groups.on,
      ...(this.#reason !== undefined && groups.unmet ? { reason: this.#reason } : {}),
    };
  }

  /** Fails with `limits_unavailable` if the platform's own limits cannot be enforced here. */
  check(): void {
    const obstacle = this.#options.groups.obstacle(this.#options.defaults);
    if (obstacle !== undefined) throw limitsUnavailable(obstacle);
  }

  of(id: DatabaseId): Limits {
    return this.#options.groups.of(id);
  }

  /** Notes the limits of a database, which its next start applies. */
  note(id: DatabaseId, own: LimitOverrides | undefined): void {
    this.#databases.add(id);
    this.#options.groups.note(id, limitsOf(this.#options.defaults, own));
  }

  forget(id: DatabaseId): void {
    this.#databases.delete(id);
    this.#options.groups.forget(id);
  }

  /**
   * Begins to enforce the limits of all databases noted so far. The servers that an earlier platform left running must
   * be known by now: their processes may have to move to other groups. A database whose own limits cannot be enforced
   * runs without them, which is logged. Fails with `limits_unavailable` if the platform's limits cannot be enforced.
   */
  async enforce(): Promise<void> {
    const { groups, defaults, logger } = this.#options;
    await groups.resume();
    await groups.enable(defaults);
    for (const id of this.#databases) {
      await groups.enable(groups.of(id)).catch((error: unknown) => {
        this.#reason = (error as Error).message;
      });
    }
    if (this.#reason !== undefined) logger.log('warn', this.#reason);
  }

  /**
   * Changes what a server may take, at once; gives the limits that hold now. Fails with `limits_unavailable`, and then
   * nothing has changed.
   */
  async change(id: DatabaseId, own: LimitOverrides): Promise<Limits> {
    const next = limitsOf(this.#options.defaults, own);
    await this.#options.groups.change(id, next);
    return next;
  }
}
