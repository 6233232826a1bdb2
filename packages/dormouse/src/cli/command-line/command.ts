import { DormouseError } from '../../base/index.ts';
import type { FlagTable, ValuesOf } from './flag.ts';
import { parseFlags } from './parse.ts';
import type { ProcessContext } from './process-context.ts';

/** The arguments of a command's `run`. */
interface Invocation<Table extends FlagTable> {
  readonly values: ValuesOf<Table>;
  readonly given: ReadonlySet<string>;
  readonly arguments: readonly string[];
  readonly context: ProcessContext;
  /** Fires when the command is interrupted. */
  readonly signal: AbortSignal;
}

export interface CommandSpec<Table extends FlagTable> {
  /** The words that call the command: `db create`. */
  readonly name: string;
  readonly summary: string;
  /** Names of the arguments. All must be given, except those in brackets. */
  readonly arguments?: readonly string[];
  readonly flags: Table;
  /** Examples, shown in help after the flags. */
  readonly examples?: readonly string[];
  /** True when the command handles stop signals itself. */
  readonly handlesSignals?: boolean;
  /** Resolves to the exit code; undefined means 0. Throws `DormouseError`. */
  run(invocation: Invocation<Table>): Promise<number | undefined>;
}

/** A command without the types of its flags, as the list of commands holds it. */
export interface Command extends Omit<CommandSpec<FlagTable>, 'run'> {
  run(words: readonly string[], context: ProcessContext, signal: AbortSignal): Promise<number | undefined>;
}

/** Makes a command, which reads its flags and arguments before it runs. */
export function defineCommand<Table extends FlagTable>(spec: CommandSpec<Table>): Command {
  return {
    ...spec,
    async run(words, context, signal) {
      const { values, positionals, given } = parseFlags(words, spec.flags, context.environment, spec.name);
      checkArguments(spec, positionals);
      return spec.run({ values, given, arguments: positionals, context, signal });
    },
  };
}

/** How a command is typed: `dormouse db create NAME`. */
export function usage(spec: { readonly name: string; readonly arguments?: readonly string[] }): string {
  return ['dormouse', spec.name, ...(spec.arguments ?? [])].join(' ');
}

function checkArguments(
  spec: { readonly name: string; readonly arguments?: readonly string[] },
  got: readonly string[],
): void {
  const names = spec.arguments ?? [];
  const missing = names.find((name, index) => !name.startsWith('[') && got[index] === undefined);
  if (missing) {
    throw new DormouseError('usage_invalid', { message: `${missing} is missing: ${usage(spec)}` });
  }
  if (got.length > names.length) {
    throw new DormouseError('usage_invalid', {
      message: `"${got[names.length]}" is one word too many: ${usage(spec)}`,
    });
  }
}
