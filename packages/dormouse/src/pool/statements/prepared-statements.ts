import {
  type ByteWriter,
  encodeBind,
  encodeClose,
  encodeDescribe,
  encodeExecute,
  encodeParse,
  encodeQuery,
  encodeSync,
  type FieldDescription,
  type PostgresError,
  type TransactionStatus,
} from '../../wire/index.ts';
import { changesSession } from './command-tag.ts';
import type { PendingStatement } from './pending-statement.ts';
import { mayChangeSchema, type SchemaChanges } from './schema-changes.ts';
import {
  type CachedStatement,
  callsSessionFunction,
  mayWrite,
  movesSearchPath,
  StatementCache,
} from './statement-cache.ts';

/**
 * Classes of errors that a statement gets from Bind because what it was parsed for has changed: data, features, names
 * and types.
 */
const OUTDATED = /^(?:22|42|0A|XX)/;
/** Commands after which the server may know none of the prepared statements, or not all of them. */
const FORGETS = /^(?:DEALLOCATE|DISCARD)/;
const NO_TYPES: readonly number[] = [];
const NO_VALUES: readonly string[] = [];

/**
 * Writes the messages of statements for one connection, under the names that its server has prepared, and notices what
 * outdates the prepared statements.
 */
export class PreparedStatements {
  readonly #statements: StatementCache;
  readonly #schemaChanges: SchemaChanges;
  /** The count of schema changes under which the prepared statements were parsed. */
  #parsedUnder: number;
  /** The transaction under way may have changed a table. */
  #defines = false;
  /** The transaction under way may have changed where names are looked up. */
  #movedPath = false;
  /** The session differs from a new one (SET, LISTEN, temporary tables …). */
  changed = false;
  /**
   * A statement was sent since the session was last as a new one. What the statement does not say itself, a tenant's
   * code may have done.
   */
  used = false;
  /** One of these statements may have written, and so fired triggers. */
  wrote = false;

  constructor(statementsMax: number | undefined, schemaChanges: SchemaChanges) {
    this.#statements = new StatementCache(statementsMax);
    this.#schemaChanges = schemaChanges;
    this.#parsedUnder = schemaChanges.count;
  }

  /** The session is as a new one. */
  renewed(): void {
    this.changed = false;
    this.used = false;
    this.wrote = false;
  }

  /** The server has forgotten every prepared statement (DISCARD ALL). */
  forget(): void {
    this.#statements.clear('gone');
  }

  /** Writes the messages of a statement, from Parse to Sync. Throws for a value that the protocol cannot carry. */
  encode(writer: ByteWriter, pending: PendingStatement): void {
    const { parameters, before } = pending;
    if (!pending.own) this.#sends(pending);
    if (parameters === undefined) {
      // As one text: if what goes in front fails, Postgres runs none of the rest.
      encodeQuery(writer, before === undefined ? pending.sql : `${before};${pending.sql}`);
      return;
    }
    if (this.#parsedUnder !== this.#schemaChanges.count) {
      this.#parsedUnder = this.#schemaChanges.count;
      this.#statements.clear('kept');
    }
    if (before !== undefined) pending.beforeStatement = this.#encodeBefore(writer, before);
    const statement = this.#statements.use(pending.sql, pending.types);
    pending.reused = statement.ready;
    pending.statement = statement;
    if (statement.changesSession) this.changed = true;
    if (statement.mayWrite) this.wrote = true;
    for (const name of this.#statements.dropped) encodeClose(writer, 'S', name);
    if (!statement.ready) {
      // A name whose Parse went through but whose Describe did not may be taken on the server.
      if (statement.name !== '') encodeClose(writer, 'S', statement.name);
      encodeParse(writer, statement.name, pending.sql, pending.types);
      encodeDescribe(writer, 'S', statement.name);
    } else {
      pending.fields = statement.fields;
    }
    encodeBind(writer, '', statement.name, parameters);
    encodeExecute(writer, '');
    encodeSync(writer);
    this.#statements.forgetDropped();
  }

  /**
   * The statement is being sent: from here on it may have an effect, even if it fails, since a lock of the session
   * outlives an error.
   */
  #sends({ sql, parameters }: PendingStatement): void {
    this.used = true;
    // A script is judged as a whole: its text is not cut into statements.
    if (parameters !== undefined) return;
    if (!this.changed) this.changed = callsSessionFunction(sql);
    if (!this.wrote) this.wrote = mayWrite(sql);
  }

  /** A statement without values or rows, such as BEGIN. */
  #encodeBefore(writer: ByteWriter, sql: string): CachedStatement {
    const statement = this.#statements.use(sql, NO_TYPES);
    if (!statement.ready) {
      if (statement.name !== '') encodeClose(writer, 'S', statement.name);
      encodeParse(writer, statement.name, sql, NO_TYPES);
    }
    encodeBind(writer, '', statement.name, NO_VALUES);
    encodeExecute(writer, '');
    return statement;
  }

  /** The server has described the result of a statement. */
  described({ statement }: PendingStatement, fields: readonly FieldDescription[]): void {
    if (statement === undefined || statement.name === '') return;
    statement.fields = fields;
    statement.ready = true;
  }

  /** The statement that was sent first (`before`) has run. */
  ranBefore({ beforeStatement }: PendingStatement): void {
    if (beforeStatement !== undefined && beforeStatement.name !== '') beforeStatement.ready = true;
  }

  /** A statement has run, with the command tag that `pending` now has. */
  ran(pending: PendingStatement): void {
    if (pending.own) return;
    if (!this.changed) this.changed = changesSession(pending.tag, pending.parameters === undefined ? '' : pending.sql);
    if (FORGETS.test(pending.tag)) this.#statements.clear('kept');
    if (mayChangeSchema(pending.tag)) this.#defines = true;
    else if (pending.statement?.movesPath ?? movesSearchPath(pending.sql)) this.#movedPath = true;
    else return;
    // This session sees the change already, and inside a transaction a statement that an outdated plan fails could not
    // be repeated.
    this.#statements.clear('kept');
  }

  /** The server is ready for the next statement. */
  ready(status: TransactionStatus): void {
    if (status !== 'I') return;
    if (this.#defines) {
      this.#defines = false;
      this.#schemaChanges.note();
    }
    if (this.#movedPath) {
      // A local change of the search path has ended.
      this.#movedPath = false;
      this.#statements.clear('kept');
    }
  }

  /**
   * Notes an error that may mean that the server has lost or outdated a prepared statement, in which case the statement
   * was not run. Says whether to send the statement again.
   */
  outdated(error: PostgresError, pending: PendingStatement, status: TransactionStatus): boolean {
    const statement = pending.part === 'main' ? pending.statement : pending.beforeStatement;
    if (statement === undefined || statement.name === '' || pending.parameters === undefined) return false;
    const outdated = error.code === '0A000' && error.fields.routine === 'RevalidateCachedQuery';
    // If Bind succeeded, the unknown name is another statement's, which the text itself executes.
    const unknown = error.code === '26000' && !pending.bound;
    if (outdated || unknown) {
      // Other statements may be outdated by the same change; forgetting all of them is cheap and rare.
      this.#statements.clear('kept');
    } else if (pending.reused && !pending.bound && OUTDATED.test(error.code)) {
      // The types of the parameters are those of the time of Parse. A new Parse shows whether they have changed or the
      // value is wrong.
      this.#statements.drop(statement);
    } else {
      return false;
    }
    return pending.outside && status === 'I' && !pending.resent && pending.stopped === undefined;
  }
}
