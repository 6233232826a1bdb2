import type { Failure } from '../../threads/index.ts';

/**
 * Hears of panics in Prisma's WebAssembly modules, which report them to a global before they trap. For worker threads.
 */
export class Panics {
  #message: string | undefined;

  /** Puts the global in place; each thread has its own. */
  listen(): void {
    Object.assign(globalThis, {
      PRISMA_WASM_PANIC_REGISTRY: {
        set_message: (message: string) => {
          this.#message = message;
        },
      },
    });
  }

  /** What an error of a module is: a panic, or a refusal with its message. */
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
