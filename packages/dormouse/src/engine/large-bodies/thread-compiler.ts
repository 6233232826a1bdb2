import { type Failure, JobFailed } from '../../threads/index.ts';
import type { CompilerModule } from '../compiler/index.ts';
import { compileError, forSchemaValidator, QueryCompilers, type SchemaSource } from '../compiler/index.ts';

/** The compiler within a thread for requests with large bodies. The first request that needs the compiler opens it. */
export class ThreadCompiler {
  /** The compiler has panicked: nothing that it gives from now on can be trusted. */
  broken = false;
  readonly #module: CompilerModule;
  #compilers: QueryCompilers | undefined;

  constructor(module: CompilerModule) {
    this.#module = module;
  }

  get memoryBytes(): number {
    return this.#compilers?.memoryBytes ?? 0;
  }

  /** Does what `Compiler.compile` does, without the deadline: the main thread holds this thread to it. */
  async compile(
    _owner: string,
    kind: 'compile' | 'compile-batch',
    schema: SchemaSource,
    request: string,
  ): Promise<unknown> {
    this.#compilers ??= await QueryCompilers.open(this.#module);
    const job = { kind, schemaHash: schema.hash, request };
    let outcome = this.#compilers.compile(job);
    if ('failure' in outcome && outcome.failure.reason === 'missing') {
      outcome = this.#compilers.compile({ ...job, schema: forSchemaValidator(await schema.text()) });
    }
    if ('result' in outcome) return outcome.result;
    throw this.#failed(outcome.failure);
  }

  #failed(failure: Failure): unknown {
    if (failure.reason === 'panic') this.broken = true;
    return compileError(new JobFailed(failure));
  }
}
