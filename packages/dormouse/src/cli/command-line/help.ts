import { type Command, usage } from './command.ts';
import { type Flag, flagName } from './flag.ts';
import { formatPairs } from './output.ts';

function flagHead(key: string, flag: Flag<unknown>): string {
  const short = flag.short ? `-${flag.short}, ` : '';
  return `${short}--${flagName(key)}${flag.placeholder ? ` ${flag.placeholder}` : ''}`;
}

function flagText(flag: Flag<unknown>): string {
  const notes = [
    flag.fallbackShown === undefined ? '' : `default ${flag.fallbackShown}`,
    flag.environment === undefined ? '' : `or ${flag.environment}`,
  ].filter((note) => note !== '');
  return notes.length === 0 ? flag.summary : `${flag.summary} (${notes.join('; ')})`;
}

/** Help of one command: usage, flags by group, examples. */
export function commandHelp(command: Command): string {
  const flags = Object.entries(command.flags);
  let out = `${command.summary}.\n\nUsage: ${usage(command)}${flags.length > 0 ? ' [flags]' : ''}\n`;
  // Padded here, so that the columns of all groups are aligned.
  const width = Math.max(0, ...flags.map(([key, flag]) => flagHead(key, flag).length));
  for (const group of new Set(flags.map(([, flag]) => flag.group))) {
    const pairs = flags
      .filter(([, flag]) => flag.group === group)
      .map(([key, flag]) => [flagHead(key, flag).padEnd(width), flagText(flag)] as const);
    out += `\n${group}\n${formatPairs(pairs)}`;
  }
  if (command.examples) out += `\nExamples\n${command.examples.map((line) => `  ${line}\n`).join('')}`;
  return out;
}

/** Help of all commands, or of those that begin with `group`. */
export function overview(commands: readonly Command[], group?: string): string {
  const shown = commands.filter((command) => group === undefined || command.name.startsWith(`${group} `));
  const pairs = shown.map((command) => [usage(command).slice('dormouse '.length), command.summary] as const);
  const head =
    group === undefined
      ? 'Dormouse: serverless Postgres that anyone can run.\n\nUsage: dormouse COMMAND [flags]\n'
      : `Usage: dormouse ${group} COMMAND [flags]\n`;
  return `${head}\n${formatPairs(pairs)}\n\`dormouse help COMMAND\` shows the flags of a command. Begin with \`dormouse start\`.\n`;
}
