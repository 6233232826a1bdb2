import { type Deadline, DormouseError } from '../base/index.ts';
import type { Hold } from '../instance/index.ts';
import { ConnectionLost } from './connection/index.ts';
import type { ExecuteOptions, Lease, ParameterValue, StatementResult } from './pool.ts';
import type { HeldMember, Member } from './pool-members.ts';

/** Where a lease has its connection from, and gives it back to. */
export interface LeaseSource {
  /** Another connection for one that died before it executed anything. The dead one's permit and hold go with it. */
  replace(dead: Member, hold: Hold, deadline: Deadline): Promise<HeldMember>;
  /** Whether the server of a lost connection ends or has ended. */
  serverEnds(member: Member): boolean;
  discard(member: Member, hold: Hold): void;
  giveBack(member: Member, hold: Hold): void;
}

/**
 * One caller's use of one connection. The first statements find a working connection even if the one leased has just
 * died.
 */
export class PoolLease implements Lease {
  readonly #pool: LeaseSource;
  readonly #deadline: Deadline;
  #member: Member;
  #hold: Hold;
  /** Nothing was answered yet: another connection is as good as this one. */
  #fresh = true;
  /** Another connection is being found; all that were sent to the dead one wait for it. */
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

  /** A connection that died before it executed anything is replaced, until one serves or time is up. */
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

  /** The connection died before it executed anything: finds another one, once for all that were sent to it. */
  async #replace(deadline: Deadline): Promise<void> {
    this.#replacing ??= this.#find(deadline).finally(() => {
      this.#replacing = undefined;
    });
    await this.#replacing;
  }

  async #find(deadline: Deadline): Promise<void> {
    const replaced = await this.#pool.replace(this.#member, this.#hold, deadline);
    if (this.#released) {
      // Given up while we looked: the permit went back with the dead connection.
      this.#pool.discard(replaced.member, replaced.hold);
      throw new DormouseError('interrupted');
    }
    this.#replaced = true;
    this.#member = replaced.member;
    this.#hold = replaced.hold;
  }
}
