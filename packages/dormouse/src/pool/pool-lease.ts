import { type Deadline, DormouseError } from '../base/index.ts';
import type { Hold } from '../instance/index.ts';
import type { ExecuteOptions } from './backend.ts';
import { ConnectionLost } from './connection-lost.ts';
import type { Lease, ParameterValue, StatementResult } from './pool.ts';
import type { Member, ServerPool } from './server-pool.ts';

/** One caller's use of one connection. The first statement finds a working connection even if the one leased has just died. */
export class PoolLease implements Lease {
  readonly #pool: ServerPool;
  readonly #deadline: Deadline;
  #member: Member;
  #hold: Hold;
  /** Nothing was executed yet: another connection is as good as this one. */
  #fresh = true;
  #released = false;

  constructor(pool: ServerPool, member: Member, hold: Hold, deadline: Deadline) {
    this.#pool = pool;
    this.#member = member;
    this.#hold = hold;
    this.#deadline = deadline;
  }

  get transactionStatus(): 'I' | 'T' | 'E' {
    return this.#member.backend.transactionStatus;
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

  async #run(
    sql: string,
    parameters: readonly ParameterValue[] | undefined,
    options: ExecuteOptions | undefined,
  ): Promise<StatementResult> {
    if (this.#released) throw new DormouseError('internal', { message: 'A lease was used after its release.' });
    const fresh = this.#fresh;
    this.#fresh = false;
    try {
      return await this.#send(sql, parameters, options);
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
      if (!fresh || !error.unexecuted) throw error.toDormouseError();
      return await this.#again(sql, parameters, options);
    }
  }

  #send(
    sql: string,
    parameters: readonly ParameterValue[] | undefined,
    options: ExecuteOptions | undefined,
  ): Promise<StatementResult> {
    const { backend } = this.#member;
    return parameters === undefined ? backend.script(sql, options) : backend.execute(sql, parameters, options);
  }

  /** The connection died before it executed anything: the same on another one, until one serves or time is up. */
  async #again(
    sql: string,
    parameters: readonly ParameterValue[] | undefined,
    options: ExecuteOptions | undefined,
  ): Promise<StatementResult> {
    const deadline = options?.deadline ?? this.#deadline;
    for (;;) {
      const replaced = await this.#pool.replace(this.#member, this.#hold, deadline);
      if (this.#released) {
        // Given up while we looked: the permit went back with the dead connection.
        this.#pool.discard(replaced.member, replaced.hold);
        throw new DormouseError('interrupted');
      }
      this.#member = replaced.member;
      this.#hold = replaced.hold;
      try {
        return await this.#send(sql, parameters, options);
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
        if (!error.unexecuted || deadline.expired()) throw error.toDormouseError();
      }
    }
  }
}
