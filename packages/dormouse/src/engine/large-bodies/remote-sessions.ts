import type { ExecuteOptions, ParameterValue, StatementResult } from '../../pool/index.ts';
import { type LeaseSource, type OperationBounds, type StatementLease, Statements } from '../statements/index.ts';
import type { Ask, FromThread, SchemaAnswer, StatementAnswer, ToThread } from './large-body-protocol.ts';
import { packError, unpackError } from './packed-errors.ts';
import { unpackRows } from './packed-rows.ts';

interface Pending {
  readonly session: number;
  readonly rows: Uint8Array[];
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** In a thread: all that one request with a large body asks of the main thread, and the answers that it waits for. */
export class RemoteSessions implements LeaseSource {
  readonly #job: number;
  readonly #post: (message: FromThread) => void;
  readonly #pending = new Map<number, Pending>();
  readonly #leases = new Map<number, RemoteLease>();
  #asks = 0;
  #sessions = 0;

  constructor(job: number, post: (message: FromThread) => void) {
    this.#job = job;
    this.#post = post;
  }

  /** Acquires a connection on the main thread, as a session of its own. */
  async acquire(): Promise<StatementLease> {
    const lease = this.#lease();
    await this.#ask({ kind: 'acquire', session: lease.session }, lease.session);
    return lease;
  }

  /** Takes an answer, or a part of an answer. */
  take(message: Extract<ToThread, { to: 'rows' | 'answer' }>): void {
    const pending = this.#pending.get(message.id);
    if (pending === undefined) return;
    if (message.to === 'rows') {
      unpackRows(message.rows, pending.rows);
      return;
    }
    this.#pending.delete(message.id);
    const lease = this.#leases.get(pending.session);
    if (lease !== undefined) lease.transactionStatus = message.status;
    const { answer } = message;
    if ('error' in answer) pending.reject(unpackError(answer.error));
    else pending.resolve(answer.value);
  }

  async schema(): Promise<SchemaAnswer> {
    return (await this.#ask({ kind: 'schema' }, 0)) as SchemaAnswer;
  }

  counted(): void {
    this.#post({ from: 'operation', job: this.#job });
  }

  /** Runs the operation inside its interactive transaction, in the request's turn. */
  async inTransaction<T>(bounds: OperationBounds, work: (statements: Statements) => Promise<T>): Promise<T> {
    const lease = this.#lease();
    const { session } = lease;
    await this.#ask({ kind: 'enter', session }, session);
    const statements = new Statements(bounds, () => lease);
    let result: T;
    try {
      result = await work(statements);
    } catch (error) {
      await statements.close();
      // If the transaction knows a better reason for the failure, such as its own time limit, this throws it.
      await this.#ask({ kind: 'leave', session, error: packError(error) }, session);
      throw error;
    }
    await this.#ask({ kind: 'leave', session, error: undefined }, session);
    return result;
  }

  async execute(
    session: number,
    sql: string,
    parameters: readonly ParameterValue[],
    options: ExecuteOptions,
  ): Promise<StatementResult> {
    const rows: Uint8Array[] = [];
    const { pipelined = false, simple = false, before } = options;
    const ask: Ask = { kind: 'execute', session, sql, parameters, pipelined, simple, before };
    const answer = (await this.#ask(ask, session, rows)) as StatementAnswer;
    return { ...answer, rows };
  }

  release(session: number): void {
    if (this.#leases.delete(session)) this.#post({ from: 'release', job: this.#job, session });
  }

  #lease(): RemoteLease {
    const lease = new RemoteLease(this, ++this.#sessions);
    this.#leases.set(lease.session, lease);
    return lease;
  }

  #ask(ask: Ask, session: number, rows: Uint8Array[] = []): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const id = ++this.#asks;
      this.#pending.set(id, { session, rows, resolve, reject });
      this.#post({ from: 'ask', job: this.#job, id, ask });
    });
  }
}

/**
 * A connection that the main thread holds. The main thread also enforces the deadline, the client's cancellation and
 * the bound on the bytes of rows.
 */
class RemoteLease implements StatementLease {
  transactionStatus: 'I' | 'T' | 'E' = 'I';
  readonly session: number;
  readonly #sessions: RemoteSessions;

  constructor(sessions: RemoteSessions, session: number) {
    this.#sessions = sessions;
    this.session = session;
  }

  execute(sql: string, parameters: readonly ParameterValue[], options: ExecuteOptions = {}): Promise<StatementResult> {
    return this.#sessions.execute(this.session, sql, parameters, options);
  }

  release(): void {
    this.#sessions.release(this.session);
  }
}
