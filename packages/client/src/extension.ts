import { type ConnectionOptions, findConnection } from './connection.ts';
import { type DecimalClass, ModelCodec, type RuntimeDataModel } from './model.ts';
import { DormouseStream } from './stream.ts';
import type { DormouseExtension } from './types.ts';

export interface DormouseOptions extends ConnectionOptions {
  readonly fetch?: typeof fetch;
  /**
   * The class for Decimal fields, such as `Prisma.Decimal`. By default the class of the installed Prisma Client;
   * without one, Decimal fields are strings.
   */
  readonly Decimal?: DecimalClass;
}

/** The parts of a Prisma Client that the extension uses, which are the same in 6 and 7. */
interface ClientInternals {
  readonly _runtimeDataModel: RuntimeDataModel;
  $extends(extension: unknown): unknown;
}

/** Typed as a plain string, so that bundlers do not require the module: the peer dependency is optional. */
const DECIMAL_MODULE: string = '@prisma/client/runtime/index-browser.js';

async function installedDecimal(): Promise<DecimalClass | undefined> {
  try {
    const module = (await import(DECIMAL_MODULE)) as { Decimal?: DecimalClass; default?: { Decimal?: DecimalClass } };
    return module.Decimal ?? module.default?.Decimal;
  } catch {
    return undefined;
  }
}

/**
 * A Prisma Client extension: `new PrismaClient().$extends(withDormouse())` adds `prisma.<model>.stream()`.
 * Works with Prisma Client 6 and 7.
 */
export function withDormouse(options: DormouseOptions = {}): DormouseExtension {
  let decimal: Promise<DecimalClass | undefined> | undefined;
  const extension = (client: ClientInternals): unknown =>
    client.$extends({
      name: '@dormouse/client',
      model: {
        $allModels: {
          stream(this: { readonly $name?: string; readonly name?: string }, args: Record<string, unknown> = {}) {
            const modelName = this.$name ?? this.name ?? '';
            const connection = findConnection(options, client);
            const open = (decimalClass: DecimalClass | undefined): DormouseStream => {
              const codec = new ModelCodec(client._runtimeDataModel, modelName, decimalClass);
              return new DormouseStream({
                connection,
                codec,
                fetch: options.fetch ?? globalThis.fetch,
                name: args.name as string | undefined,
                filter: codec.encodeFilter(args),
                signal: args.signal as AbortSignal | undefined,
              });
            };
            decimal ??= options.Decimal === undefined ? installedDecimal() : Promise.resolve(options.Decimal);
            return eventually(decimal.then(open));
          },
        },
      },
    });
  return extension as unknown as DormouseExtension;
}

/** A stream that can be looped over at once, or awaited until it is open. */
function eventually(stream: Promise<DormouseStream>): unknown {
  stream.catch(() => {});
  return {
    // biome-ignore lint/suspicious/noThenProperty: Pulse's streams are awaited, and these stand in for them.
    then: (...handlers: Parameters<Promise<unknown>['then']>) =>
      stream
        .then((each) => each.opened())
        .then(facade)
        .then(...handlers),
    stop: () => void stream.then((each) => each.stop()).catch(() => {}),
    async *[Symbol.asyncIterator]() {
      yield* await stream;
    },
  };
}

/** An opened stream, without `then`: the result of awaiting a stream must not be awaitable itself. */
function facade(stream: DormouseStream): unknown {
  return { stop: () => stream.stop(), [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator]() };
}
