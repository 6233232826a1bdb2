import { type Clock, Deadline, DormouseError, type Logger, type RandomBytes, type Role } from '../base/index.ts';
import type { Hold, Instance } from '../instance/index.ts';
import type { Connect } from '../session/index.ts';
import { decodeDataRow } from '../wire/index.ts';
import { recover, StoredCode } from './connection/index.ts';
import type { AcquireOptions, Lease, Pool } from './pool.ts';
import { PoolConnector } from './pool-connector.ts';
import { type LeaseSource, PoolLease } from './pool-lease.ts';
import { type HeldMember, type Member, PoolMembers } from './pool-members.ts';
import { SchemaChanges } from './statements/index.ts';
import { WaitQueue } from './wait-queue.ts';

/**
 * Server connections per database and role: Postgres serves a host of two cores best with few, and each costs 2 to 5
 * MB.
 */
export const POOL_CONNECTIONS_MAX = 10;
/** Callers that wait for a connection; more than this many are told to slow down. */
export const POOL_WAITERS_MAX = 1_000;
/**
 * Idle connections that stay open while the server is frozen. The first query after the freeze finds one; each further
 * one would cost 2.5 MB for nothing.
 */
const KEPT_ASLEEP = 1;
/** The longest wait for the answer to a question that is asked without a lease: such an answer is at hand. */
const ASK_MS = 500;
/** `close` waits this long for leases before it cuts them. */
const CLOSE_GRACE_MS = 5_000;

export interface PoolOptions {
  readonly instance: Instance;
  /** Connections are opened as the Postgres role of the same name. */
  readonly role: Role;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly connect: Connect;
  readonly log: Logger;
  readonly connectionsMax?: number;
  readonly waitersMax?: number;
  /** Prepared statements kept per connection; 0 for none. */
  readonly statementsMax?: number;
  /** Shared by the pools and the TCP door of one database. */
  readonly schemaChanges?: SchemaChanges;
  /** Shared by all pools of one database. */
  readonly storedCode?: StoredCode;
}

/**
 * The connections of one database and role. A permit is the right to use one connection; there are `connectionsMax`
 * permits. A caller that finds none waits, and a permit that is given back goes to the next caller in turn (fair
 * between keys). A lease has a permit, a connection and a hold.
 */
export class ServerPool implements Pool, LeaseSource {
  readonly #instance: Instance;
  readonly #clock: Clock;
  readonly #random: RandomBytes;
  readonly #members: PoolMembers;
  readonly #connector: PoolConnector;
  readonly #waiters: WaitQueue;
  readonly #detach: () => void;
  #permits: number;
  #closed = false;
  /** The server is being stopped, or has stopped. */
  #stopping = false;
  #closing: Promise<void> | undefined;

  constructor(options: PoolOptions) {
    const { instance, role, clock, random, connect, log, statementsMax } = options;
    const schemaChanges = options.schemaChanges ?? new SchemaChanges();
    const storedCode = options.storedCode ?? new StoredCode(schemaChanges, clock);
    this.#instance = instance;
    this.#clock = clock;
    this.#random = random;
    this.#permits = options.connectionsMax ?? POOL_CONNECTIONS_MAX;
    this.#waiters = new WaitQueue(clock, options.waitersMax ?? POOL_WAITERS_MAX);
    const members = new PoolMembers({ instance, clock, random, schemaChanges, storedCode });
    this.#members = members;
    const closed = (): boolean => this.#closed;
    const shared = { instance, clock, random, schemaChanges, members };
    this.#connector = new PoolConnector({ ...shared, role, connect, log, statementsMax, closed });
    this.#detach = instance.attach({
      started: () => {
        this.#stopping = false;
      },
      suspending: async () => members.dropIdle(KEPT_ASLEEP),
      stopping: async () => {
        this.#stopping = true;
        members.dropIdle();
      },
      stopped: () => members.dropDead(),
    });
  }

  get stats(): { readonly open: number; readonly idle: number; readonly leased: number; readonly waiting: number } {
    const { open, idle } = this.#members;
    return { open, idle, leased: open - idle, waiting: this.#waiters.size };
  }

  acquire(options: AcquireOptions): Promise<Lease> {
    if (this.#closed) return Promise.reject(new DormouseError('shutting_down'));
    if (this.#permits === 0) return this.#waiters.wait(options);
    this.#permits -= 1;
    const hold = this.#instance.tryHold();
    if (hold !== undefined) {
      const member = this.#members.takeIdle();
      if (member !== undefined) {
        options.timings?.add('queue', 0);
        return Promise.resolve(this.#lease(member, hold, options.deadline));
      }
    }
    return this.#open(hold, options, this.#clock.monotonic());
  }

  async askIdle(sql: string): Promise<string | undefined> {
    if (this.#permits === 0 || this.#closed) return undefined;
    const member = this.#members.takeIdle();
    if (member === undefined) return undefined;
    this.#permits -= 1;
    try {
      // Not as the pool's own statement: what it would change in the session is looked for below.
      const { rows } = await member.connection.script(sql, { deadline: Deadline.in(this.#clock, ASK_MS) });
      const [value] = rows[0] === undefined ? [] : decodeDataRow(rows[0]);
      return value?.toString('utf8');
    } catch {
      return undefined;
    } finally {
      if (inOrder(member) && this.#usable(member)) {
        this.#members.putIdle(member, 'next');
        // Not handed to a waiter directly: a waiter needs a hold first.
        this.#returnPermit();
      } else {
        void this.#members.drop(member).then(() => this.#returnPermit());
      }
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** A working connection and a hold, for a lease whose connection died before it executed anything. */
  async replace(dead: Member, hold: Hold, deadline: Deadline): Promise<HeldMember> {
    this.#members.forget(dead);
    hold.release();
    const found = await this.#connector.connected(undefined, deadline, undefined, []);
    found.member.connection.keepAlive(true);
    return found;
  }

  /** Whether a connection ends because its server ends. */
  serverEnds(member: Member): boolean {
    return this.#closed || this.#stopping || member.generation !== this.#instance.generation;
  }

  /** Drops a connection whose permit has been given back already. */
  discard(member: Member, hold: Hold): void {
    void this.#members.drop(member).then(() => hold.release());
  }

  /** Takes a lease's connection, hold and permit back. */
  giveBack(member: Member, hold: Hold): void {
    if (inOrder(member)) this.#restock(member, hold);
    else void recover(member.connection, this.#clock, this.#random).then(() => this.#restock(member, hold));
  }

  #lease(member: Member, hold: Hold, deadline: Deadline): Lease {
    member.connection.keepAlive(true);
    return new PoolLease(this, member, hold, deadline);
  }

  #usable(member: Member): boolean {
    return !this.#closed && this.#members.alive(member);
  }

  /** A usable connection goes to the first waiter or becomes idle; any other is dropped, and its permit passed on. */
  #restock(member: Member, hold: Hold): void {
    if (!this.#usable(member)) {
      // The permit is free when the connection's process is gone; until then the server stays awake.
      void this.#members.drop(member).then(() => {
        hold.release();
        this.#returnPermit();
      });
      return;
    }
    const asked = this.#members.clean(member);
    const waiter = this.#waiters.take();
    if (waiter !== undefined) {
      waiter.options.timings?.add('queue', this.#clock.monotonic() - waiter.sinceMs);
      waiter.resolve(new PoolLease(this, member, hold, waiter.options.deadline));
      return;
    }
    member.connection.keepAlive(false);
    // The other connections serve before one that still has a question to answer.
    this.#members.putIdle(member, asked ? 'last' : 'next');
    // The server is held until it has run the pool's own statements too.
    const settled = member.connection.settled();
    if (settled === undefined) hold.release();
    else void settled.then(() => hold.release());
    this.#returnPermit();
  }

  #returnPermit(): void {
    const waiter = this.#waiters.take();
    if (waiter === undefined) this.#permits += 1;
    else waiter.resolve(this.#open(undefined, waiter.options, waiter.sinceMs));
  }

  /** Makes a lease for a caller that has a permit; gives the permit back if that fails. */
  async #open(held: Hold | undefined, options: AcquireOptions, sinceMs: number): Promise<Lease> {
    const left: Promise<void>[] = [];
    try {
      const wakeStart = options.timings?.get('wake') ?? 0;
      const { member, hold } = await this.#connector.connected(held, options.deadline, options, left);
      const wakeMs = (options.timings?.get('wake') ?? 0) - wakeStart;
      options.timings?.add('queue', Math.max(0, this.#clock.monotonic() - sinceMs - wakeMs));
      const lease = this.#lease(member, hold, options.deadline);
      if (options.cancellation?.cancelled !== true && !this.#closed) return lease;
      lease.release();
    } catch (error) {
      void Promise.all(left).then(() => this.#returnPermit());
      throw error;
    }
    throw new DormouseError(this.#closed ? 'shutting_down' : 'interrupted');
  }

  async #close(): Promise<void> {
    this.#closed = true;
    this.#detach();
    this.#waiters.clear(new DormouseError('shutting_down'));
    this.#members.dropIdle();
    if (this.#members.open === 0) return;
    await new Promise<void>((resolve) => {
      const cut = this.#clock.after(CLOSE_GRACE_MS, () => this.#members.destroyAll());
      this.#members.whenEmpty(() => {
        cut.cancel();
        resolve();
      });
    });
  }
}

/** Whether the connection is as it was before its use: it works, nothing is under way, and nothing was changed. */
function inOrder({ connection }: Member): boolean {
  const { lost, busy, transactionStatus, changed } = connection;
  return lost === undefined && !busy && transactionStatus === 'I' && !changed;
}

/** A pool of server connections; connects nothing until the first `acquire`. */
export function createPool(options: PoolOptions): Pool {
  return new ServerPool(options);
}
