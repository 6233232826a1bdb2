import type { Prisma } from '@prisma/client/extension';

export interface CreateEvent<T> {
  readonly id: string;
  readonly modelName: string;
  readonly action: 'create';
  readonly created: T;
}
export interface UpdateEvent<T> {
  readonly id: string;
  readonly modelName: string;
  readonly action: 'update';
  /** The row before; null unless the table has REPLICA IDENTITY FULL. */
  readonly before: T | null;
  /**
   * The row after. A large value (over 2 kB) that the update did not touch is absent, unless the table has REPLICA
   * IDENTITY FULL.
   */
  readonly after: T;
}
export interface DeleteEvent<T> {
  readonly id: string;
  readonly modelName: string;
  readonly action: 'delete';
  /** The primary key; the whole row if the table has REPLICA IDENTITY FULL. */
  readonly deleted: Partial<T>;
}

interface EventByKey<T> {
  create: CreateEvent<T>;
  update: UpdateEvent<T>;
  delete: DeleteEvent<T>;
}

/** Scalar conditions on a model's own fields: Prisma's `where` without relations. */
export type ScalarWhere<Model> = Omit<
  NonNullable<Prisma.Args<Model, 'findMany'>['where']>,
  keyof Prisma.Payload<Model, 'findMany'>['objects']
>;

export interface StreamArgs<Model> {
  /**
   * The platform keeps a cursor of this name: after a restart the stream goes on behind the last event whose loop body
   * has run.
   */
  name?: string;
  /** Which created rows; `{}` for all. Without `create`, `update` and `delete`: every event. */
  create?: ScalarWhere<Model>;
  update?: { after?: ScalarWhere<Model> };
  delete?: ScalarWhere<Model>;
  /** Ends the stream. */
  signal?: AbortSignal;
}

type Wanted<Args> = Extract<keyof Args, keyof EventByKey<unknown>>;

/** The events of a call: those of the actions that its arguments name. */
export type EventOf<Model, Args> = EventByKey<Prisma.Result<Model, Record<never, never>, 'findFirstOrThrow'>>[[
  Wanted<Args>,
] extends [never]
  ? keyof EventByKey<unknown>
  : Wanted<Args>];

/** An open stream. */
export interface EventStream<Event> extends AsyncIterable<Event> {
  /** Ends the stream, and a loop over it. */
  stop(): void;
}

/**
 * What `stream()` gives: `for await (const event of prisma.user.stream())`, or `const stream = await
 * prisma.user.stream()`, which resolves when the stream is open and rejects if it is refused.
 */
export interface StreamPromise<Event> extends EventStream<Event>, PromiseLike<EventStream<Event>> {}

/** The methods that the extension adds to every model. A type, since an interface has no index signature for Prisma. */
export type StreamMethods = {
  stream<Model, Args extends StreamArgs<Model>>(
    this: Model,
    args?: Prisma.Exact<Args, StreamArgs<Model>>,
  ): StreamPromise<EventOf<Model, Args>>;
};

/** The type of an extension that adds a model method, as the installed Prisma Client (6 or 7) has it. */
export type DormouseExtension = ReturnType<
  // biome-ignore lint/complexity/noBannedTypes: {} is Prisma's own way to say that nothing is added.
  typeof Prisma.defineExtension<{}, { $allModels: StreamMethods }, {}, {}>
>;
