import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { DormouseTestingError } from './errors.ts';

/** Names of databases have at most 63 characters; a mark takes at most 28. */
const PREFIX = /^[a-z][a-z0-9-]{0,23}$/;

const HASH_LENGTH = 12;
const TEMPLATE_CHARS = 35;
const MARK = /-t(?<host>[0-9a-f]{6})-(?<pid>[0-9a-z]{1,7})-(?<start>[0-9a-z]{4})-[0-9a-f]{6}$/;
/**
 * A busy machine uses a pid again soon: a process is identified by its start time too, where the system tells it. This
 * stands for a start time that is not known.
 */
const UNKNOWN_START = '0000';
const START_CHARS = 4;

/** A test database is kept this long at most; also if its suite may still run, for example on another machine. */
const LEFT_OVER_MS = 24 * 60 * 60_000;

/** A process that makes test databases. */
export interface Maker {
  readonly host: string;
  readonly pid: number;
  /** The start time of the process, in {@link START_CHARS} characters. */
  readonly start: string;
}

export function thisMaker(): Maker {
  const host = createHash('sha256').update(hostname()).digest('hex').slice(0, 6);
  return { host, pid: process.pid, start: startOf(process.pid) };
}

/** Field 22 of /proc/PID/stat, in ticks since boot; not known on systems other than Linux. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
    return (1 + (ticks % (36 ** START_CHARS - 1))).toString(36).padStart(START_CHARS, '0');
  } catch {
    return UNKNOWN_START;
  }
}

/** True unless the maker is known to be gone. */
export function mayLive(maker: Maker, sinceMs: number, nowMs: number): boolean {
  if (nowMs - sinceMs > LEFT_OVER_MS) return false;
  if (maker.host !== thisMaker().host) return true;
  try {
    process.kill(maker.pid, 0);
    const start = startOf(maker.pid);
    return start === maker.start || start === UNKNOWN_START || maker.start === UNKNOWN_START;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Checks the part of a template's name that the user chose. Throws {@link DormouseTestingError}. */
export function checkPrefix(name: string): void {
  if (PREFIX.test(name)) return;
  throw new DormouseTestingError(
    'usage',
    `"${name.slice(0, 80)}" cannot begin the name of a database: use a-z, 0-9 and dashes, start with a letter, at most 24 characters.`,
  );
}

/** The name of a template with this content. */
export function templateName(prefix: string, fingerprint: string): string {
  return `${prefix}-${fingerprint.slice(0, HASH_LENGTH)}`;
}

/** True for the name of a template of this prefix, whatever its content. */
export function isTemplateOf(prefix: string, name: string): boolean {
  return name.startsWith(`${prefix}-`) && /^[0-9a-f]{12}$/.test(name.slice(prefix.length + 1));
}

/**
 * A new name for a test database of this process. A template's name that is too long is cut; the rest of the name keeps
 * it apart from others.
 */
export function testName(template: string, maker: Maker): string {
  return `${template.slice(0, TEMPLATE_CHARS)}-t${maker.host}-${maker.pid.toString(36)}-${maker.start}-${randomBytes(3).toString('hex')}`;
}

/** The maker of a test database, from its name; undefined for the name of another database. */
export function makerOf(name: string): Maker | undefined {
  const parts = MARK.exec(name)?.groups;
  return parts === undefined
    ? undefined
    : {
        host: parts.host as string,
        pid: Number.parseInt(parts.pid as string, 36),
        start: parts.start as string,
      };
}
