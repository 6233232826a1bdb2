import {
  type Cancellation,
  type Clock,
  type Deadline,
  DormouseError,
  type Logger,
  type RandomBytes,
  type Role,
} from '../base/index.ts';
import type { Hold, Instance } from '../instance/index.ts';
import { type Connect, loginSettings } from '../session/index.ts';
import { PostgresError } from '../wire/index.ts';
import { type ConnectionLost, openServerSession, reachServer, ServerConnection } from './connection/index.ts';
import type { AcquireOptions } from './pool.ts';
import type { HeldMember, Member, PoolMembers } from './pool-members.ts';
import type { SchemaChanges } from './statements/index.ts';

/** All connections of the server are taken, by sessions of other doors too; that passes. */
const TOO_MANY_CONNECTIONS = '53300';

export interface PoolConnectorOptions {
  readonly instance: Instance;
  readonly role: Role;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly connect: Connect;
  readonly log: Logger;
  readonly statementsMax: number | undefined;
  readonly schemaChanges: SchemaChanges;
  readonly members: PoolMembers;
  readonly closed: () => boolean;
}

/** Finds or opens a connection for a caller that has a permit. */
export class PoolConnector {
  readonly #options: PoolConnectorOptions;
  readonly #password: string | undefined;
  readonly #parameters: ReadonlyMap<string, string>;

  constructor(options: PoolConnectorOptions) {
    const { user, password, database } = options.instance.credentials(options.role);
    this.#options = options;
    this.#password = password;
    this.#parameters = new Map([
      ['user', user],
      ['database', database],
      ['application_name', 'dormouse'],
      ...loginSettings('query'),
    ]);
  }

  /**
   * Wakes the database if necessary, and gives an idle connection or a new one; tries again while the server is between
   * two runs or full. `held` is a hold that the caller has already; `left` gets the ends of start-ups that were given
   * up.
   */
  async connected(
    held: Hold | undefined,
    deadline: Deadline,
    caller: AcquireOptions | undefined,
    left: Promise<void>[],
  ): Promise<HeldMember> {
    const { instance, clock, members } = this.#options;
    const { reached, hold } = await reachServer({
      instance,
      clock,
      deadline,
      held,
      onWaked: (ms) => caller?.timings?.add('wake', ms),
      attempt: async () => members.takeIdle() ?? (await this.#open(deadline, left)),
      passes: (error) => error instanceof PostgresError && error.code === TOO_MANY_CONNECTIONS,
      check: () => this.#check(caller?.cancellation),
      late: notConnected,
    });
    return { member: reached, hold };
  }

  #check(cancellation: Cancellation | undefined): void {
    if (this.#options.closed()) throw new DormouseError('shutting_down');
    if (cancellation?.cancelled === true) throw new DormouseError('interrupted');
  }

  async #open(deadline: Deadline, left: Promise<void>[]): Promise<Member> {
    const { instance, connect, clock, random, log, statementsMax, schemaChanges, members } = this.#options;
    const session = await openServerSession({
      ...{ instance, connect, clock, random, log, deadline, left },
      parameters: this.#parameters,
      password: this.#password,
    });
    const connection = new ServerConnection({
      session,
      clock,
      schemaChanges,
      ...(statementsMax === undefined ? {} : { statementsMax }),
      onLost: (lost) => this.#lost(member, lost),
    });
    const member: Member = { connection, generation: session.generation, cleanUnder: schemaChanges.count };
    if (connection.lost === undefined) members.add(member);
    return member;
  }

  /** A connection has ended. The pool forgets it; a lease that has it finds out by itself. */
  #lost(member: Member, lost: ConnectionLost): void {
    const { members, log, instance, role } = this.#options;
    members.forget(member);
    log.log('debug', 'server connection ended', { database: instance.databaseId, role, reason: lost.message });
  }
}

/** No connection could be opened in time; the error says why, as Postgres said it last. */
function notConnected(error: unknown): DormouseError {
  if (!(error instanceof PostgresError)) return new DormouseError('connection_timeout', { cause: error });
  const message = `No connection could be opened in time. Postgres says: ${error.message}.`;
  return new DormouseError('connection_timeout', { message, cause: error });
}
