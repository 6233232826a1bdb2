import type { Principal } from '../../base/index.ts';
import type { DateFormat, ParameterValue } from '../../pool/index.ts';
import type { FieldDescription } from '../../wire/index.ts';
import type { CompilerModule, SchemaFacts } from '../compiler/index.ts';
import type { EngineLimits } from '../engine.ts';
import type { ExecutionCounts } from '../program/index.ts';
import type { QueryRoute } from '../request/index.ts';
import type { PackedError } from './packed-errors.ts';

/** What a thread for requests with large bodies starts with. */
export interface LargeBodyThreadData {
  readonly compiler: CompilerModule;
  readonly limits: EngineLimits;
  /** Whether plans are compiled. */
  readonly programs: boolean;
}

/** Headers that the engine reads. */
export const HEADERS: readonly string[] = [
  'x-capture-telemetry',
  'traceparent',
  'prisma-engine-hash',
  'prisma-engine-version',
  'x-query-timeout',
  'x-max-transaction-timeout',
  'x-max-response-size',
];

/** A request as it goes to a thread, its body transferred. */
export interface LargeBodyRequest {
  readonly route: QueryRoute;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly requestId: string;
  readonly principal: Principal;
  /** Until the call's deadline: a thread's monotonic clock begins elsewhere. */
  readonly remainingMs: number;
}

/** One statement of a thread's, for the connection of a session. */
export interface StatementAsk {
  readonly kind: 'execute';
  readonly session: number;
  readonly sql: string;
  readonly parameters: readonly ParameterValue[];
  readonly pipelined: boolean;
  readonly simple: boolean;
  readonly before: string | undefined;
}

/** What only the main thread has. A session is a connection, or an interactive transaction's turn. */
export type Ask =
  | { readonly kind: 'schema' }
  | { readonly kind: 'acquire'; readonly session: number }
  | { readonly kind: 'enter'; readonly session: number }
  /** The turn is over, well or not; answered when the transaction has heard of it. */
  | { readonly kind: 'leave'; readonly session: number; readonly error: PackedError | undefined }
  | StatementAsk;

export interface SchemaAnswer {
  readonly text: string;
  readonly facts: SchemaFacts;
}

/** The result of a statement but for its rows, which went before it. */
export interface StatementAnswer {
  readonly fields: readonly FieldDescription[];
  readonly commandTag: string;
  readonly affectedRows: number;
  readonly dates: DateFormat | undefined;
}

export type Outcome =
  | { readonly reply: { readonly status: number; readonly headers: Record<string, string>; readonly body: Uint8Array } }
  | { readonly error: PackedError };

export type ToThread =
  | { readonly to: 'begin'; readonly job: number; readonly request: LargeBodyRequest }
  /** Nobody waits for it any more. */
  | { readonly to: 'cancel'; readonly job: number }
  /** A part of the rows of the statement that was asked for as `id`. */
  | { readonly to: 'rows'; readonly job: number; readonly id: number; readonly rows: Uint8Array }
  | {
      readonly to: 'answer';
      readonly job: number;
      readonly id: number;
      readonly answer: { readonly value: unknown } | { readonly error: PackedError };
      /** Of the session's connection, by now. */
      readonly status: 'I' | 'T' | 'E';
    };

export type FromThread =
  /** The thread has come to it. */
  | { readonly from: 'begun'; readonly job: number }
  | { readonly from: 'operation'; readonly job: number }
  | { readonly from: 'ask'; readonly job: number; readonly id: number; readonly ask: Ask }
  | { readonly from: 'release'; readonly job: number; readonly session: number }
  | {
      readonly from: 'done';
      readonly job: number;
      readonly outcome: Outcome;
      readonly compileMs: number | undefined;
      readonly sqlMs: number | undefined;
      /** Executions by the engine's programs. */
      readonly executions: ExecutionCounts;
      /** WebAssembly memory that the thread holds by now. */
      readonly memoryBytes: number;
      /** The compiler has broken: the thread takes nothing new. */
      readonly broken: boolean;
    };

/** Bytes in an ArrayBuffer of their own, so that it can be transferred: themselves, or a copy. */
export function transferable(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength
    ? new Uint8Array(bytes.buffer)
    : new Uint8Array(bytes);
}
