import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { DormouseTestingError } from './errors.ts';

/** The platform to use, and the right to manage it. */
export interface PlatformOptions {
  /** The platform's address; by default DORMOUSE_URL, else the address in its data directory. */
  readonly url?: string;
  /** By default DORMOUSE_TOKEN, else the token in its data directory. */
  readonly adminToken?: string;
  /** The directory that `dormouse start` keeps its data in; by default `./.dormouse`, for root `/var/lib/dormouse`. */
  readonly dataDirectory?: string;
}

/** A database as the management API shows it. */
export interface DatabaseItem {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly createdAtMs: number;
}

export interface DatabaseDetail extends DatabaseItem {
  readonly prismaUrl: string;
  readonly postgresUrl: string;
  readonly pulseUrl: string;
  readonly apiKey: string;
}

/** The management API of a running platform. */
export interface TestPlatform {
  /** Sends one request. Throws {@link DormouseTestingError}. */
  request<T>(method: string, path: string, body?: unknown): Promise<T>;
}

/** A running platform writes this file into its data directory. */
const ADMIN_FILE = 'admin.json';

/** Finds the platform of these options. Throws a {@link DormouseTestingError} whose message says what to do. */
export async function findTestPlatform(options: PlatformOptions): Promise<TestPlatform> {
  const directory = resolve(options.dataDirectory ?? (process.getuid?.() === 0 ? '/var/lib/dormouse' : '.dormouse'));
  const named = options.url ?? process.env.DORMOUSE_URL;
  const token = options.adminToken ?? process.env.DORMOUSE_TOKEN;
  const written = named !== undefined && token !== undefined ? undefined : await readAdminFile(directory);
  const url = named ?? written?.url;
  // A token found on the disk goes to the address that was found beside it, and to no other.
  const adminToken =
    token ?? (written !== undefined && (named === undefined || named === written.url) ? written.adminToken : undefined);
  if (url === undefined) {
    throw new DormouseTestingError(
      'unreachable',
      `No Dormouse runs on ${directory}. Start one with \`dormouse start\`, or say where it is with { url, adminToken }, { dataDirectory }, or DORMOUSE_URL and DORMOUSE_TOKEN.`,
    );
  }
  if (adminToken === undefined) {
    throw new DormouseTestingError(
      'usage',
      `There is no admin token for ${url}. Give it as { adminToken } or DORMOUSE_TOKEN, or name the platform's { dataDirectory }.`,
    );
  }
  const base = url.replace(/\/+$/, '');
  return { request: (method, path, body) => send(base, adminToken, method, path, body) };
}

async function send<T>(base: string, adminToken: string, method: string, path: string, body: unknown): Promise<T> {
  let reply: Response;
  let text: string;
  try {
    reply = await fetch(`${base}${path}`, {
      method,
      redirect: 'error',
      headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    text = await reply.text();
  } catch (cause) {
    throw new DormouseTestingError(
      'unreachable',
      `No running Dormouse answers at ${base}. Start it with \`dormouse start\`.`,
      0,
      {
        cause,
      },
    );
  }
  const value = parse(text);
  if (reply.ok) return value as T;
  const { code, message } = (value ?? {}) as { code?: unknown; message?: unknown };
  throw new DormouseTestingError(
    typeof code === 'string' ? code : 'unreachable',
    typeof message === 'string' ? message : `${base} answers with status ${reply.status}, but not as Dormouse does.`,
    reply.status,
  );
}

async function readAdminFile(directory: string): Promise<{ url: string; adminToken: string } | undefined> {
  const text = await readFile(join(directory, ADMIN_FILE), 'utf8').catch(() => undefined);
  const { url, adminToken } = (text === undefined ? {} : (parse(text) ?? {})) as Record<string, unknown>;
  return typeof url === 'string' && typeof adminToken === 'string' ? { url, adminToken } : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Awaits `work`; an error of the platform with one of these codes gives undefined. */
export async function unless<T>(codes: readonly string[], work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof DormouseTestingError && codes.includes(error.code)) return undefined;
    throw error;
  }
}

/** The path of one database. */
export function pathOf(nameOrId: string): string {
  return `/api/databases/${encodeURIComponent(nameOrId)}`;
}
