import type { Clock, RandomBytes } from '../base/index.ts';
import type { Hold, Instance } from '../instance/index.ts';
import type { ServerConnection, StoredCode } from './connection/index.ts';
import type { SchemaChanges } from './statements/index.ts';

/**
 * The last bytes of a server that has ended lie in the buffers of this process already; they are read within this time.
 */
const LAST_READ_MS = 50;

/** A connection of the pool. */
export interface Member {
  readonly connection: ServerConnection;
  /** The generation of the server that the connection belongs to. */
  readonly generation: number;
  /** The count of schema changes under which the session was last known to be as a new one. */
  cleanUnder: number;
}

/** A connection of the pool, under a hold on its instance. */
export interface HeldMember {
  readonly member: Member;
  readonly hold: Hold;
}

export interface PoolMembersOptions {
  readonly instance: Instance;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly schemaChanges: SchemaChanges;
  readonly storedCode: StoredCode;
}

/** The connections of one pool, and which of them are idle. */
export class PoolMembers {
  readonly #instance: Instance;
  readonly #clock: Clock;
  readonly #random: RandomBytes;
  readonly #schemaChanges: SchemaChanges;
  readonly #storedCode: StoredCode;
  readonly #all = new Set<Member>();
  /** Last in, first out: the connection that was used last serves next. */
  readonly #idle: Member[] = [];
  #onEmpty: (() => void) | undefined;

  constructor(options: PoolMembersOptions) {
    this.#instance = options.instance;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#schemaChanges = options.schemaChanges;
    this.#storedCode = options.storedCode;
  }

  get open(): number {
    return this.#all.size;
  }
  get idle(): number {
    return this.#idle.length;
  }

  add(member: Member): void {
    this.#all.add(member);
  }

  /** Forgets a connection that has ended. */
  forget(member: Member): void {
    const at = this.#idle.indexOf(member);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#all.delete(member);
    if (this.#all.size === 0) this.#onEmpty?.();
  }

  /** Calls `listener` when the last connection has ended, at once if there is none. */
  whenEmpty(listener: () => void): void {
    if (this.#all.size === 0) listener();
    else this.#onEmpty = listener;
  }

  /** Whether the connection, and the server that it belongs to, are still there. */
  alive(member: Member): boolean {
    return member.connection.lost === undefined && member.generation === this.#instance.generation;
  }

  /** Takes the idle connection that was used last. */
  takeIdle(): Member | undefined {
    for (;;) {
      const member = this.#idle.pop();
      if (member === undefined) return undefined;
      if (this.alive(member)) {
        // A schema change that was made before this connection was given back may have been reported only afterwards.
        if (member.cleanUnder !== this.#schemaChanges.count) {
          member.connection.reset(this.#random);
          member.cleanUnder = this.#schemaChanges.count;
        }
        return member;
      }
      void this.drop(member);
    }
  }

  /** Makes a connection idle: `next` serves before the other idle connections, `last` after them. */
  putIdle(member: Member, turn: 'next' | 'last'): void {
    if (turn === 'next') this.#idle.push(member);
    else this.#idle.unshift(member);
  }

  /**
   * Sees to it that the next caller finds nothing that a tenant's code may have changed in the session. No caller waits
   * here: a reset goes out behind the reply, and a statement that comes meanwhile goes out behind the reset. Says
   * whether the connection is being asked which code the tenant keeps in the database.
   */
  clean(member: Member): boolean {
    const { connection } = member;
    const { count } = this.#schemaChanges;
    const { unasked, reach } = this.#storedCode;
    if (connection.suspect(reach)) connection.reset(this.#random);
    // Asked after the reset: a session that a tenant has prepared could answer what the tenant likes.
    if (unasked) void this.#storedCode.ask(connection);
    member.cleanUnder = count;
    return unasked;
  }

  /** Ends a connection; resolves when its process is gone. */
  drop(member: Member): Promise<void> {
    member.connection.terminate();
    return member.connection.gone;
  }

  /** Ends all idle connections but the `kept` ones that were used last. */
  dropIdle(kept = 0): void {
    for (const member of this.#idle.splice(0, this.#idle.length - kept)) void this.drop(member);
  }

  /**
   * Ends the connections of a server that is gone. What the server said last is read first; then the connections are
   * cut, since a connection over a network may not notice the end by itself.
   */
  dropDead(): void {
    const dead = [...this.#all];
    this.#clock.after(LAST_READ_MS, () => {
      for (const member of dead) member.connection.destroy();
    });
  }

  destroyAll(): void {
    for (const member of [...this.#all]) member.connection.destroy();
  }
}
