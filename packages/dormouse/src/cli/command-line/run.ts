import { DormouseError, toDormouseError } from '../../base/index.ts';
import type { Command } from './command.ts';
import { commandHelp, overview } from './help.ts';
import { nearest } from './nearest.ts';
import type { ProcessContext } from './process-context.ts';

/** The exit code of an interrupted command. */
const EXIT_INTERRUPTED = 3;

/**
 * Runs one command line (without node and script) and gives its exit code: 0 done, 1 a bug of Dormouse, 2 a mistake of
 * the user, 3 interrupted. Never throws: errors are written to stderr.
 */
export async function run(
  words: readonly string[],
  commands: readonly Command[],
  context: ProcessContext,
): Promise<number> {
  try {
    const code = (await dispatch(words, commands, context)) ?? 0;
    await context.stdout.flush();
    return code;
  } catch (thrown) {
    const error = toDormouseError(thrown);
    // An internal error without a cause comes from the platform, whose own log has the cause.
    if (error.code === 'internal' && error.cause !== undefined) {
      const cause = error.cause instanceof Error ? (error.cause.stack ?? error.cause.message) : String(error.cause);
      context.stderr.write(`dormouse: this is a bug of ours; please report it with what follows.\n${cause}\n`);
    } else {
      // The code is printed too, because docs/ERRORS.md lists errors by code.
      const [first, ...more] = error.operatorMessage.split('\n');
      context.stderr.write(`dormouse: ${[`${first} [${error.code}]`, ...more].join('\n')}\n`);
    }
    return error.exit;
  }
}

async function dispatch(
  words: readonly string[],
  commands: readonly Command[],
  context: ProcessContext,
): Promise<number | undefined> {
  const [first] = words;
  if (first === undefined || first === '--help' || first === '-h') {
    context.stdout.write(overview(commands));
    return 0;
  }
  if (first === '--version' || first === '-v') return dispatch(['version', ...words.slice(1)], commands, context);
  if (first === 'help') {
    context.stdout.write(helpOn(words.slice(1), commands));
    return 0;
  }
  if (first.startsWith('-')) {
    throw new DormouseError('usage_invalid', {
      message: `Flags come after the command: dormouse COMMAND ${first}. \`dormouse help\` shows the commands.`,
    });
  }

  if (isGroup(first, commands) && ['help', '--help', '-h'].includes(words[1] ?? '')) {
    context.stdout.write(helpOn([first, ...words.slice(2)], commands));
    return 0;
  }
  const command = find(words, commands);
  const ownWords = words.slice(command.name.split(' ').length);
  const end = ownWords.indexOf('--');
  const flags = end < 0 ? ownWords : ownWords.slice(0, end);
  if (flags.includes('--help') || flags.includes('-h')) {
    context.stdout.write(commandHelp(command));
    return 0;
  }
  return command.handlesSignals
    ? command.run(ownWords, context, new AbortController().signal)
    : interruptible(context, (signal) => command.run(ownWords, context, signal));
}

/** Runs a command. The first stop signal aborts the command's signal, and a second one ends the process. */
async function interruptible(
  context: ProcessContext,
  body: (signal: AbortSignal) => Promise<number | undefined>,
): Promise<number | undefined> {
  const controller = new AbortController();
  const unsubscribe = context.onStopSignal(() => {
    if (controller.signal.aborted) context.exitNow(EXIT_INTERRUPTED);
    controller.abort();
  });
  try {
    return await body(controller.signal);
  } finally {
    unsubscribe();
  }
}

/** Whether `word` is the first of several words of a command, such as `db`. */
function isGroup(word: string | undefined, commands: readonly Command[]): word is string {
  return word !== undefined && commands.some(({ name }) => name.startsWith(`${word} `));
}

function find(words: readonly string[], commands: readonly Command[]): Command {
  const found = commands.find((command) => command.name.split(' ').every((part, index) => part === words[index]));
  if (found) return found;
  const group = isGroup(words[0], commands) ? words[0] : undefined;
  const second = words[1]?.startsWith('-') ? undefined : words[1];
  if (group !== undefined && second === undefined) {
    throw new DormouseError('usage_invalid', {
      message: `\`dormouse ${group}\` needs to know what to do.\n\n${overview(commands, group)}`,
    });
  }
  const written = group === undefined ? (words[0] as string) : `${group} ${second}`;
  const near = nearest(
    written,
    commands.map((command) => command.name),
  );
  throw new DormouseError('usage_invalid', {
    message: `There is no command \`dormouse ${written}\`.${near ? ` Did you mean \`dormouse ${near}\`?` : ''} \`dormouse help\` shows them all.`,
  });
}

function helpOn(words: readonly string[], commands: readonly Command[]): string {
  const names = words.filter((word) => !word.startsWith('-'));
  if (names.length === 0) return overview(commands);
  if (names.length === 1 && isGroup(names[0], commands)) return overview(commands, names[0]);
  return commandHelp(find(names, commands));
}
