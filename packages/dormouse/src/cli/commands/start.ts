import path from 'node:path';
import { DormouseError, toDormouseError } from '../../base/index.ts';
import type { ProcessContext } from '../command-line/index.ts';
import { bold, type Command, defineCommand, formatPairs, printJson, textLogger } from '../command-line/index.ts';
import { dataDirectory, START_FLAGS, type StartValues, urlPairs } from '../platform-api/index.ts';
import type { Platform, StartPlatform } from '../start-platform.ts';

/** The exit code after a second signal, which ends the process at once. */
const EXIT_INTERRUPTED = 3;
/**
 * `npm start` passes on the Ctrl-C that the terminal has already sent to this process. A second SIGINT within this time
 * is the same key press.
 */
const SAME_PRESS_MS = 1000;
/** Most databases whose URLs are printed at start-up; `dormouse db list` shows all. */
const DATABASES_SHOWN_MAX = 3;

/** Runs the platform in the foreground until a signal stops it. */
export function startCommand(startPlatform: StartPlatform): Command {
  return defineCommand({
    name: 'start',
    summary: 'Start the platform here and keep it in the foreground',
    flags: START_FLAGS,
    handlesSignals: true,
    examples: [
      'dormouse start',
      'dormouse start --data /srv/dormouse --suspend-after 30s --stop-after never',
      'dormouse start --host 0.0.0.0 --public-url https://db.example.com',
    ],
    run: ({ values, context }) => start(values, context, startPlatform),
  });
}

async function start(values: StartValues, context: ProcessContext, startPlatform: StartPlatform): Promise<number> {
  // With --json nothing but the one object goes to stdout.
  const talk = values.json ? context.stderr : context.stdout;
  const began = context.monotonic();
  const directory = dataDirectory(values.data, context);
  const stop = stopRequest(context, (line) => talk.write(`${line}\n`));
  try {
    talk.write(
      `${bold(talk, context.environment, `Dormouse ${context.version}`)} starts on ${near(directory, context)}\n`,
    );
    const platform = await startPlatform(
      { ...values, data: directory, version: context.version },
      textLogger(context.stderr, values.logLevel, context.now),
      (line) => talk.write(`  ${line}\n`),
    ).catch((error: unknown) => {
      throw toDormouseError(error).code === 'disk_full' ? diskFull(directory, error) : error;
    });
    try {
      const seconds = ((context.monotonic() - began) / 1000).toFixed(1);
      // After a stop signal during the start the addresses are of no use.
      if (!stop.asked()) {
        if (values.json) printJson(context.stdout, summary(platform));
        else context.stdout.write(welcome(platform, seconds, context));
      }
      await stop.wait;
    } finally {
      await platform.close();
    }
    talk.write('Stopped. Everything acknowledged is on disk.\n');
    return 0;
  } finally {
    stop.forget();
  }
}

/** A full disk, with the path of the data directory: only the operator may see the path, clients may not. */
function diskFull(directory: string, cause: unknown): DormouseError {
  return new DormouseError('disk_full', {
    message: `The disk that holds ${directory} is full. Free some space (a first start takes 150 MB), or choose another directory with --data; nothing that was acknowledged is lost.`,
    cause,
  });
}

/** Waits for the first stop signal. A second Ctrl-C ends the process at once. */
function stopRequest(context: ProcessContext, say: (line: string) => void) {
  let askedAtMs: number | undefined;
  let resolve: () => void = () => {};
  const wait = new Promise<void>((done) => {
    resolve = done;
  });
  const forget = context.onStopSignal((signal) => {
    const nowMs = context.monotonic();
    if (askedAtMs === undefined) {
      askedAtMs = nowMs;
      say(signal === 'SIGINT' ? '\nStopping. Ctrl-C again ends at once.' : 'Stopping.');
      resolve();
    } else if (signal === 'SIGINT' && nowMs - askedAtMs > SAME_PRESS_MS) {
      say('Ended at once. The next start recovers the databases.');
      context.exitNow(EXIT_INTERRUPTED);
    }
  });
  return { wait, asked: () => askedAtMs !== undefined, forget };
}

/** The object that `--json` prints; programs rely on its keys. */
function summary(platform: Platform): object {
  const { http, postgres, dashboard, adminToken } = platform;
  const databases = platform.databases.map(({ id, name, prismaUrl, postgresUrl, pulseUrl }) => {
    return { id, name, prismaUrl, postgresUrl, pulseUrl };
  });
  return { http, postgres, dashboard, adminToken, databases };
}

/** The text for a new user: the addresses, and the next steps. */
function welcome(platform: Platform, seconds: string, context: ProcessContext): string {
  const strong = (text: string) => bold(context.stdout, context.environment, text);
  const shown = platform.databases.slice(0, DATABASES_SHOWN_MAX);
  const more = platform.databases.length - shown.length;
  let out = `  Ready in ${seconds} s.\n`;
  for (const database of shown) {
    out += `\n${strong(`Database ${database.name}`)}\n${formatPairs(urlPairs({ ...database, apiKey: null }))}`;
  }
  if (more > 0) out += `\n  and ${more} more: npx dormouse db list\n`;
  out += `\n${strong('Dashboard')}\n  ${platform.dashboard}\n`;
  out += `\n${strong('What to do next')}\n${nextSteps(shown[0])}`;
  out += '\nCtrl-C stops it.\n';
  return out;
}

function nextSteps(database: Platform['databases'][number] | undefined): string {
  if (database?.prismaUrl === undefined || database.prismaUrl === null) {
    return '  Create a database:  npx dormouse db create NAME\n';
  }
  return [
    '  With psql, or any Postgres client:',
    `    psql "${database.postgresUrl}"`,
    '',
    '  With Prisma Client 7, cached (DATABASE_URL is the Prisma URL above):',
    '    const prisma = new PrismaClient({ accelerateUrl: process.env.DATABASE_URL! }).$extends(withAccelerate())',
    '    await prisma.post.findMany({ cacheStrategy: { ttl: 60, swr: 60 } })',
    '  With Prisma Client 6, in schema.prisma:',
    '    datasource db { provider = "postgresql"  url = env("DATABASE_URL") }',
    '',
    '  Every write as an event, with prisma.$extends(withDormouse()) of @dormouse/client:',
    "    for await (const event of await prisma.post.stream({ name: 'my-app' })) console.log(event)",
    '',
    '  All of this in a small app:  npm run blog',
    '  Another database:            npx dormouse db create NAME',
    '',
  ].join('\n');
}

/** A path relative to the working directory where that is shorter to type. */
function near(directory: string, context: ProcessContext): string {
  const relative = path.relative(context.workingDirectory, directory);
  return relative !== '' && !relative.startsWith('..') && !path.isAbsolute(relative) ? `./${relative}` : directory;
}
