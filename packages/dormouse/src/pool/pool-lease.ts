import { type Deadline, DormouseError } from '../base/index.ts';
import type { Hold } from '../instance/index.ts';
import { ConnectionLost } from './connection/index.ts';
import type { ExecuteOptions, Lease, ParameterValue, StatementResult } from './pool.ts';
import type { HeldMember, Member } from './pool-members.ts';

/** The pool, as a lease sees it: where its connection comes from and goes back to. */
export interface LeaseSource {
  /**
   * Gives another connection for one that died before it executed anything. The dead connection's hold is released, and
   * its permit goes over to the new connection.
   */
  replace(dead: Member, hold: Hold, deadline: Deadline): Promise<HeldMember>;
  /** Whether the server of a lost connection is ending or has ended. */
  serverEnds(member: Member): boolean;
  discard(member: Member, hold: Hold): void;
  giveBack(member: Member, hold: Hold): void;
}

/**
 * One caller's use of one connection. If the leased connection dies before it has answered anything, the lease finds
 * another one, and the caller does not notice.
 */
export class PoolLease implements Lease {
  readonly #pool: LeaseSource;
  readonly #deadline: Deadline;
  #member: Member;
  #hold: Hold;
  /** Nothing was answered yet: another connection is as good as this one. */
  #fresh = true;
  /** Another connection is being found; every statement that was sent to the dead one waits for it. */
  #replacing: Promise<void> | undefined;
  #replaced = false;
  #released = false;

  constructor(pool: LeaseSource, member: Member, hold: Hold, deadline: Deadline) {
    this.#pool = pool;
    this.#member = member;
    this.#hold = hold;
    this.#deadline = deadline;
  }

  get transactionStatus(): 'I' | 'T' | 'E' {
    return this.#member.connection.transactionStatus;
  }

  get usable(): boolean {
    return this.#member.connection.lost === undefined;
  }

  execute(sql: string, parameters: readonly ParameterValue[], options?: ExecuteOptions): Promise<StatementResult> {
    return this.#run(sql, parameters, options);
  }

  script(sql: string, options?: { readonly deadline?: Deadline }): Promise<StatementResult> {
    return this.#run(sql, undefined, options);
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#pool.giveBack(this.#member, this.#hold);
  }

  #run(
    sql: string,
    parameters: readonly ParameterValue[] | undefined,
    options: ExecuteOptions | undefined,
  ): Promise<StatementResult> {
    if (this.#released) {
      return Promise.reject(new DormouseError('internal', { message: 'A lease was used after its release.' }));
    }
    const member = this.#member;
    const { connection } = member;
    const result =
      parameters === undefined ? connection.script(sql, options) : connection.execute(sql, parameters, options);
    return result.then(this.#answered, (error) => this.#failed(error, member, sql, parameters, options));
  }

  readonly #answered = (result: StatementResult): StatementResult => {
    this.#fresh = false;
    return result;
  };

  /** Replaces a connection that died before it executed anything, until one serves or the deadline has passed. */
  async #failed(
    error: unknown,
    member: Member,
    sql: string,
    parameters: readonly ParameterValue[] | undefined,
    options: ExecuteOptions | undefined,
  ): Promise<StatementResult> {
    const lost = error instanceof ConnectionLost ? error : undefined;
    if (lost?.unexecuted !== true) this.#fresh = false;
    if (lost === undefined) throw error;
    const deadline = options?.deadline ?? this.#deadline;
    if (!this.#fresh || (this.#replaced && deadline.expired())) throw lost.toError(this.#pool.serverEnds(member));
    if (this.#member === member) await this.#replace(deadline);
    return this.#run(sql, parameters, options);
  }

  /** Finds another connection, once for all statements that were sent to the dead one. */
  async #replace(deadline: Deadline): Promise<void> {
    this.#replacing ??= this.#find(deadline).finally(() => {
      this.#replacing = undefined;
    });
    await this.#replacing;
  }

  async #find(deadline: Deadline): Promise<void> {
    const replaced = await this.#pool.replace(this.#member, this.#hold, deadline);
    if (this.#released) {
      // The caller released the lease during the search: the permit went back with the dead connection.
      this.#pool.discard(replaced.member, replaced.hold);
      throw new DormouseError('interrupted');
    }
    this.#replaced = true;
    this.#member = replaced.member;
    this.#hold = replaced.hold;
  }
}
