import { describe, expect, it } from 'vitest';
import { recordedContext } from '../../../test/support/recorded-context.ts';
import { DormouseError } from '../../base/index.ts';
import { allCommands } from '../commands/index.ts';
import { type Command, defineCommand } from './command.ts';
import { flagName } from './flag.ts';
import { run } from './run.ts';

const commands = allCommands(async () => {
  throw new Error('not in this test');
});

async function tried(line: string, list: readonly Command[] = commands) {
  const context = recordedContext();
  const code = await run(line === '' ? [] : line.split(' '), list, context);
  return { code, out: context.out(), err: context.err() };
}

function failing(thrown: unknown): readonly Command[] {
  return [
    defineCommand({
      name: 'fail',
      summary: '',
      flags: {},
      run: async () => {
        throw thrown;
      },
    }),
  ];
}

describe('help', () => {
  it('help shows every command', async () => {
    for (const line of ['', 'help', '--help', '-h']) {
      const { code, out, err } = await tried(line);
      expect([code, err]).toEqual([0, '']);
      for (const command of commands) expect(out).toContain(`  ${command.name}`);
    }
  });

  it('help of a command shows every flag with its default, in each way to ask for it', async () => {
    for (const command of commands) {
      const { code, out } = await tried(`help ${command.name}`);
      expect(code).toBe(0);
      expect(await tried(`${command.name} --help`)).toMatchObject({ code: 0, out });
      for (const [key, flag] of Object.entries(command.flags)) {
        expect(out).toContain(`--${flagName(key)}`);
        expect(out).toContain(flag.summary);
        if (flag.fallbackShown) expect(out).toContain(`default ${flag.fallbackShown}`);
      }
    }
  });

  it('help shows one group of commands', async () => {
    const { code, out } = await tried('help db');
    expect(code).toBe(0);
    expect(out).toContain('db create NAME');
    expect(out).not.toContain('key create');
  });

  it('help of a group shows its commands, in each way to ask for it', async () => {
    for (const line of ['help db', 'db help', 'db --help', 'db -h']) {
      const { code, out, err } = await tried(line);
      expect([code, err]).toEqual([0, '']);
      expect(out).toContain('  db branch SOURCE NAME');
      expect(out).not.toContain('  status');
    }
    expect(await tried('db help create')).toEqual(await tried('help db create'));
  });

  it('every line of help has at most 140 columns and no escape sequences', async () => {
    for (const command of commands) {
      const { out } = await tried(`help ${command.name}`);
      expect(out).not.toContain('\u001b');
      for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(140);
    }
  });
});

describe('mistakes', () => {
  it.each([
    ['db', '`dormouse db` needs to know what to do'],
    ['db --json', '`dormouse db` needs to know what to do'],
    ['db lst', 'Did you mean `dormouse db list`?'],
    ['stat', 'Did you mean `dormouse status`?'],
    ['frobnicate', 'There is no command `dormouse frobnicate`. `dormouse help` shows them all.'],
    ['help frobnicate', 'There is no command `dormouse frobnicate`.'],
    ['--json db list', 'Flags come after the command'],
    ['db create', 'NAME is missing: dormouse db create NAME'],
    ['db create a b', '"b" is one word too many: dormouse db create NAME'],
    ['db create Shop', '"Shop" is not a database name'],
    ['db branch main', 'NAME is missing'],
    ['key create main --role admin', 'owner, writer, reader'],
    ['start --pgport 1', 'Did you mean --pg-port?'],
    ['start --body-max 5', '--body-max: "5" is not a size: write a number and its unit'],
    ['start --spares 1000000', '--spares: "1000000" is too many: at most 1000.'],
    ['start --tcp-connections 1000', '--tcp-connections: "1000" is too many: at most'],
    ['start extra', '"extra" is one word too many'],
  ])('the mistake in "dormouse %s" is named', async (line, words) => {
    const { code, out, err } = await tried(line);
    expect(err).toContain(words);
    expect(err).toMatch(/^dormouse: /);
    expect([code, out]).toEqual([2, '']);
  });
});

describe('exit codes', () => {
  it('the exit code of the version as text and as JSON is 0', async () => {
    for (const line of ['version', '--version', '-v']) {
      expect(await tried(line)).toEqual({ code: 0, out: 'dormouse 9.9.9\n', err: '' });
    }
    expect(JSON.parse((await tried('version --json')).out)).toEqual({ version: '9.9.9' });
  });

  it('the exit code of a bug of Dormouse is 1, and its stack is printed', async () => {
    const { code, err } = await tried('fail', failing(new TypeError('oops')));
    expect(code).toBe(1);
    expect(err).toContain('bug of ours');
    expect(err).toMatch(/TypeError: oops\n\s+at /);
  });

  it('the exit code of any other error is that of the error table', async () => {
    expect(await tried('fail', failing(new DormouseError('port_in_use')))).toMatchObject({ code: 2 });
    expect(await tried('fail', failing(new DormouseError('interrupted')))).toMatchObject({ code: 3 });
  });

  it('the exit code of an interrupted command is 3, and its signal is aborted', async () => {
    let told: AbortSignal | undefined;
    const waiting = defineCommand({
      name: 'wait',
      summary: '',
      flags: {},
      run: ({ signal }) =>
        new Promise((_resolve, reject) => {
          told = signal;
          signal.addEventListener('abort', () => reject(new DormouseError('interrupted')));
        }),
    });
    const context = recordedContext();
    const code = run(['wait'], [waiting], context);
    expect(context.press('SIGINT')).toBe(true);
    expect(await code).toBe(3);
    expect(told?.aborted).toBe(true);
    expect(context.press('SIGINT')).toBe(false);
  });
});
