import {
  type Cancellation,
  type Clock,
  Deadline,
  DormouseError,
  type Logger,
  type RandomBytes,
  type Role,
} from '../base/index.ts';
import type { Credentials, Hold, Instance } from '../instance/index.ts';
import { decodeDataRow, PostgresError } from '../wire/index.ts';
import type { Connect, ConnectionLost } from './connection/index.ts';
import {
  Backend,
  endBackend,
  openSession,
  opensLater,
  recover,
  StoredCode,
  sendCancelRequest,
} from './connection/index.ts';
import type { AcquireOptions, Lease, Pool } from './pool.ts';
import { type LeaseSource, type Member, PoolLease } from './pool-lease.ts';
import { SchemaChanges } from './statements/index.ts';
import { WaitQueue } from './wait-queue.ts';

/** Server connections a database and role: Postgres serves a two-core host best with few; each costs 2 to 5 MB. */
export const POOL_CONNECTIONS_MAX = 10;
/** Callers that wait for one; beyond it the honest answer is to slow down. */
export const POOL_WAITERS_MAX = 1_000;
/**
 * Idle connections that stay through a freeze: the first query after it finds one, the others would be 2.5 MB each for
 * nothing.
 */
const KEPT_ASLEEP = 1;
/** A question without a lease is one whose answer is at hand. */
const ASK_MS = 500;
/** Between tries to connect while the server starts, recovers or is full. */
const RECONNECT_MS = 20;
/** Bytes of a server that has ended are in our socket already; a moment of the event loop delivers them. */
const LAST_READ_MS = 50;
/** `close` waits this long for leases before it cuts them. */
const CLOSE_GRACE_MS = 5_000;
/** All the places of the database are taken, by sessions of others too; that passes. */
const TOO_MANY_CONNECTIONS = '53300';

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
  /** Prepared statements kept a connection; 0 for none. */
  readonly statementsMax?: number;
  /** Shared by the pools and the TCP door of one database. */
  readonly schemaChanges?: SchemaChanges;
  /** The same, of all pools of one database. */
  readonly storedCode?: StoredCode;
}

/**
 * Connections of one (database, role). A permit is the right to use one connection: there are `connectionsMax`; who
 * finds none waits, and a permit given back goes to the next in turn (fair between keys). A lease holds a permit, a
 * connection and a hold.
 */
export class ServerPool implements Pool, LeaseSource {
  readonly #instance: Instance;
  readonly #clock: Clock;
  readonly #random: RandomBytes;
  readonly #connect: Connect;
  readonly #log: Logger;
  readonly #role: Role;
  readonly #statementsMax: number | undefined;
  readonly #schemaChanges: SchemaChanges;
  readonly #storedCode: StoredCode;
  readonly #credentials: Credentials;
  readonly #parameters: ReadonlyMap<string, string>;
  readonly #detach: () => void;
  #permits: number;
  /** Last in, first out: the warmest connection serves next. */
  readonly #idle: Member[] = [];
  readonly #members = new Set<Member>();
  readonly #waiters: WaitQueue;
  #closed = false;
  /** The server is being stopped, or is. */
  #stopping = false;
  #closing: Promise<void> | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(options: PoolOptions) {
    this.#instance = options.instance;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#connect = options.connect;
    this.#log = options.log;
    this.#role = options.role;
    this.#statementsMax = options.statementsMax;
    this.#schemaChanges = options.schemaChanges ?? new SchemaChanges();
    this.#storedCode = options.storedCode ?? new StoredCode(this.#schemaChanges, options.clock);
    this.#permits = options.connectionsMax ?? POOL_CONNECTIONS_MAX;
    this.#waiters = new WaitQueue(options.clock, options.waitersMax ?? POOL_WAITERS_MAX);
    this.#credentials = options.instance.credentials(options.role);
    this.#parameters = new Map([
      ['user', this.#credentials.user],
      ['database', this.#credentials.database],
      ['application_name', 'dormouse'],
      ['client_encoding', 'UTF8'],
      // Readers of text values rely on it, whatever a tenant sets for his role or database.
      ['DateStyle', 'ISO, MDY'],
      ['IntervalStyle', 'postgres'],
      ['bytea_output', 'hex'],
      ['extra_float_digits', '1'],
      ['lc_monetary', 'C'],
      // A library that is not there would end every connection at its start.
      ['local_preload_libraries', ''],
    ]);
    this.#detach = options.instance.attach({
      started: () => {
        this.#stopping = false;
      },
      suspending: async () => this.#dropIdle(KEPT_ASLEEP),
      stopping: async () => {
        this.#stopping = true;
        this.#dropIdle();
      },
      stopped: () => this.#dropDead(),
    });
  }

  get stats(): { readonly open: number; readonly idle: number; readonly leased: number; readonly waiting: number } {
    return {
      open: this.#members.size,
      idle: this.#idle.length,
      leased: this.#members.size - this.#idle.length,
      waiting: this.#waiters.size,
    };
  }

  acquire(options: AcquireOptions): Promise<Lease> {
    if (this.#closed) return Promise.reject(new DormouseError('shutting_down'));
    if (this.#permits === 0) return this.#waiters.wait(options);
    this.#permits -= 1;
    const hold = this.#instance.tryHold();
    if (hold !== undefined) {
      const member = this.#takeIdle();
      if (member !== undefined) {
        options.timings?.add('queue', 0);
        return Promise.resolve(this.#lease(member, hold, options.deadline));
      }
    }
    return this.#open(hold, options, this.#clock.monotonic());
  }

  async askIdle(sql: string): Promise<string | undefined> {
    if (this.#permits === 0 || this.#closed) return undefined;
    const member = this.#takeIdle();
    if (member === undefined) return undefined;
    this.#permits -= 1;
    try {
      // Not as the pool's own: what it would change in the session is seen below.
      const { rows } = await member.backend.script(sql, { deadline: Deadline.in(this.#clock, ASK_MS) });
      const [value] = rows[0] === undefined ? [] : decodeDataRow(rows[0]);
      return value?.toString('utf8');
    } catch {
      return undefined;
    } finally {
      const { backend, generation } = member;
      const { lost, busy, transactionStatus, changed } = backend;
      const asBefore = lost === undefined && !busy && transactionStatus === 'I' && !changed;
      const usable = asBefore && !this.#closed && generation === this.#instance.generation;
      if (usable) this.#idle.push(member);
      else void this.#drop(member).then(() => this.#returnPermit());
      // Not given to a waiter at once: he needs a hold first.
      if (usable) this.#returnPermit();
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** A working connection and a hold for a lease that found its own dead before it executed anything. */
  async replace(
    dead: Member,
    hold: Hold,
    deadline: Deadline,
  ): Promise<{ readonly member: Member; readonly hold: Hold }> {
    this.#members.delete(dead);
    hold.release();
    const found = await this.#connected(undefined, deadline, undefined, []);
    found.member.backend.keepAlive(true);
    return found;
  }

  /** Whether a connection ends because its server does. */
  serverEnds(member: Member): boolean {
    return this.#closed || this.#stopping || member.generation !== this.#instance.generation;
  }

  /** Drops a connection that nobody has a permit for. */
  discard(member: Member, hold: Hold): void {
    void this.#drop(member).then(() => hold.release());
  }

  /** Takes a lease's connection, hold and permit back. */
  giveBack(member: Member, hold: Hold): void {
    const { backend } = member;
    if (backend.lost === undefined && !backend.busy && backend.transactionStatus === 'I' && !backend.changed) {
      this.#restock(member, hold);
      return;
    }
    void recover(backend, this.#clock, this.#random).then(() => this.#restock(member, hold));
  }

  #lease(member: Member, hold: Hold, deadline: Deadline): Lease {
    member.backend.keepAlive(true);
    return new PoolLease(this, member, hold, deadline);
  }

  /**
   * A connection that is in order goes to the first waiter or to the shelf; one that is not is dropped, its permit
   * passed on.
   */
  #restock(member: Member, hold: Hold): void {
    const usable =
      member.backend.lost === undefined && !this.#closed && member.generation === this.#instance.generation;
    if (usable) {
      const asks = this.#clean(member);
      const waiter = this.#waiters.take();
      if (waiter !== undefined) {
        waiter.options.timings?.add('queue', this.#clock.monotonic() - waiter.sinceMs);
        waiter.resolve(new PoolLease(this, member, hold, waiter.options.deadline));
        return;
      }
      member.backend.keepAlive(false);
      // Others come before one that still has a question to answer.
      if (asks) this.#idle.unshift(member);
      else this.#idle.push(member);
      // The server does not rest while it works for us.
      const settled = member.backend.settled();
      if (settled === undefined) hold.release();
      else void settled.then(() => hold.release());
      this.#returnPermit();
      return;
    }
    // Its place is free when its process is gone, and until then the server stays awake.
    void this.#drop(member).then(() => {
      hold.release();
      this.#returnPermit();
    });
  }

  /**
   * Sees to it that nothing which code of the tenant's may have changed in the session meets the next caller. Nobody
   * waits here: a reset goes out behind the reply, and a statement that comes meanwhile behind the reset. Says whether
   * the connection is asked what code there is.
   */
  #clean(member: Member): boolean {
    const { backend } = member;
    const { count } = this.#schemaChanges;
    const { unasked, reach } = this.#storedCode;
    if (backend.suspect(reach)) backend.reset(this.#random);
    // Asked of a session that nobody has prepared.
    if (unasked) void this.#storedCode.ask(backend);
    member.cleanUnder = count;
    return unasked;
  }

  #returnPermit(): void {
    const waiter = this.#waiters.take();
    if (waiter === undefined) this.#permits += 1;
    else waiter.resolve(this.#open(undefined, waiter.options, waiter.sinceMs));
  }

  /** With a permit: wakes the database if need be and finds or opens a connection. */
  async #open(held: Hold | undefined, options: AcquireOptions, sinceMs: number): Promise<Lease> {
    const left: Promise<void>[] = [];
    try {
      const wakeStart = options.timings?.get('wake') ?? 0;
      const { member, hold } = await this.#connected(held, options.deadline, options, left);
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

  async #connected(
    held: Hold | undefined,
    deadline: Deadline,
    options: AcquireOptions | undefined,
    left: Promise<void>[],
  ): Promise<{ readonly member: Member; readonly hold: Hold }> {
    let hold = held;
    for (;;) {
      hold ??= this.#instance.tryHold();
      if (hold === undefined) {
        const startMs = this.#clock.monotonic();
        try {
          hold = await this.#instance.hold(deadline);
        } finally {
          options?.timings?.add('wake', this.#clock.monotonic() - startMs);
        }
      }
      const idle = this.#takeIdle();
      if (idle !== undefined) return { member: idle, hold };
      try {
        return { member: await this.#connectMember(deadline, left), hold };
      } catch (error) {
        hold.release();
        hold = undefined;
        await this.#pauseAfter(error, deadline, options?.cancellation);
      }
    }
  }

  /** Waits before the next try after a failure that passes; throws for one that does not, or when time is up. */
  async #pauseAfter(error: unknown, deadline: Deadline, cancellation: Cancellation | undefined): Promise<void> {
    const passes = opensLater(error) || (error instanceof PostgresError && error.code === TOO_MANY_CONNECTIONS);
    if (!passes) throw error;
    if (this.#closed) throw new DormouseError('shutting_down');
    if (cancellation?.cancelled === true) throw new DormouseError('interrupted');
    if (deadline.remainingMs() <= RECONNECT_MS) throw notConnected(error);
    await new Promise<void>((resolve) => this.#clock.after(RECONNECT_MS, resolve));
  }

  /** `left` gets the end of a start that was given up. */
  async #connectMember(deadline: Deadline, left: Promise<void>[]): Promise<Member> {
    const { generation, endpoint } = this.#instance;
    const socket = this.#connect(endpoint);
    const end = (processId: number | undefined, busy: boolean, cancel: () => Promise<void>): Promise<void> =>
      endBackend({
        instance: this.#instance,
        generation,
        socket,
        processId,
        busy,
        cancel,
        clock: this.#clock,
        log: this.#log,
      });
    const { password } = this.#credentials;
    const session = await openSession(socket, {
      parameters: this.#parameters,
      ...(password === undefined ? {} : { password }),
      random: this.#random,
      deadline,
      leave: (processId) => left.push(end(processId, true, async () => {})),
    });
    const { processId, secretKey } = session;
    const backend = new Backend({
      session,
      clock: this.#clock,
      reconnect: () => this.#connect(endpoint),
      end: (busy) =>
        end(processId, busy, () => sendCancelRequest(() => this.#connect(endpoint), processId, secretKey, this.#clock)),
      schemaChanges: this.#schemaChanges,
      ...(this.#statementsMax === undefined ? {} : { statementsMax: this.#statementsMax }),
      onLost: (lost) => this.#lostMember(member, lost),
    });
    const member: Member = { backend, generation, cleanUnder: this.#schemaChanges.count };
    if (backend.lost === undefined) this.#members.add(member);
    return member;
  }

  /** A connection died. On the shelf it is just gone; a lease finds out by itself. */
  #lostMember(member: Member, lost: ConnectionLost): void {
    const at = this.#idle.indexOf(member);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#members.delete(member);
    if (this.#members.size === 0) this.#onEmpty?.();
    this.#log.log('debug', 'server connection ended', {
      database: this.#instance.databaseId,
      role: this.#role,
      reason: lost.message,
    });
  }

  #takeIdle(): Member | undefined {
    for (;;) {
      const member = this.#idle.pop();
      if (member === undefined) return undefined;
      if (member.backend.lost === undefined && member.generation === this.#instance.generation) {
        // What was changed when this connection was given back, was told only later.
        if (member.cleanUnder !== this.#schemaChanges.count) {
          member.backend.reset(this.#random);
          member.cleanUnder = this.#schemaChanges.count;
        }
        return member;
      }
      void this.#drop(member);
    }
  }

  /** Resolves when its process is gone. */
  #drop(member: Member): Promise<void> {
    member.backend.terminate();
    return member.backend.gone;
  }

  /** All but the warmest few. */
  #dropIdle(kept = 0): void {
    for (const member of this.#idle.splice(0, this.#idle.length - kept)) void this.#drop(member);
  }

  /**
   * The server is gone. What it said last is still to be read; after that a connection is cut, since one over a network
   * may not notice by itself.
   */
  #dropDead(): void {
    const dead = [...this.#members];
    this.#clock.after(LAST_READ_MS, () => {
      for (const member of dead) member.backend.destroy();
    });
  }

  #dropAll(): void {
    for (const member of [...this.#members]) member.backend.destroy();
  }

  async #close(): Promise<void> {
    this.#closed = true;
    this.#detach();
    this.#waiters.clear(new DormouseError('shutting_down'));
    this.#dropIdle();
    if (this.#members.size === 0) return;
    await new Promise<void>((resolve) => {
      const cut = this.#clock.after(CLOSE_GRACE_MS, () => this.#dropAll());
      this.#onEmpty = () => {
        cut.cancel();
        resolve();
      };
    });
  }
}

/** No connection in time, with the reason that Postgres gave last. */
function notConnected(error: unknown): DormouseError {
  if (!(error instanceof PostgresError)) return new DormouseError('connection_timeout', { cause: error });
  const message = `No connection could be opened in time. Postgres says: ${error.message}.`;
  return new DormouseError('connection_timeout', { message, cause: error });
}

/** A pool of server connections; connects nothing until the first `acquire`. */
export function createPool(options: PoolOptions): Pool {
  return new ServerPool(options);
}
