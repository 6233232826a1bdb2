import type { Failure } from '../../threads/index.ts';

/**
 * Records panics of Prisma's WebAssembly modules, which report a panic to a global object before they trap. For worker
 * threads: each has its own globals.
 */
export class Panics {
  #message: string | undefined;

  /** Creates the global object of this thread. */
  listen(): void {
    Object.assign(globalThis, {
      PRISMA_WASM_PANIC_REGISTRY: {
        set_message: (message: string) => {
          this.#message = message;
        },
      },
    });
  }

  /** Converts an error of a module: it is a panic, or a refusal with a message. */
  failureOf(error: unknown): Failure {
    if (this.#message !== undefined || error instanceof WebAssembly.RuntimeError || error instanceof RangeError) {
      return { reason: 'panic', message: this.#message ?? String(error) };
    }
    const { message, code, meta } = error as { message?: unknown; code?: unknown; meta?: unknown };
    return {
      reason: 'refused',
      message: typeof message === 'string' ? message : String(error),
      code: typeof code === 'string' ? code : undefined,
      meta,
    };
  }
}
