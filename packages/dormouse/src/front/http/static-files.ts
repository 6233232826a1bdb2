import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DormouseError, type MinimalReply } from '../../base/index.ts';
import type { ReplyHandler } from './mounts.ts';

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  json: 'application/json',
  svg: 'image/svg+xml',
  png: 'image/png',
  ico: 'image/x-icon',
  woff2: 'font/woff2',
  map: 'application/json',
};

// The page loads only files of its own server, connects to that server only, and is never framed.
const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
};

// Names as a bundler writes them: no dot at the start, no parent folder, at most one folder deep.
const FILE = /^(?:[A-Za-z0-9_-][A-Za-z0-9._-]*\/)?[A-Za-z0-9_-][A-Za-z0-9._-]*\.([a-z0-9]+)$/;

/**
 * Serves the files of a directory below `path`; the path itself and every name without an extension give `index.html`.
 */
export function staticFiles(path: string, directory: string): ReplyHandler {
  return async (request) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      throw new DormouseError('method_not_allowed', { meta: { allow: 'GET' } });
    }
    // Relative links in the page need the slash.
    if (request.path === path) return { status: 308, headers: { location: `${path}/` }, body: '' };
    const name = request.path.slice(path.length + 1);
    const page = name === '' || !name.includes('.');
    const file = page ? 'index.html' : name;
    const extension = FILE.exec(file)?.[1];
    if (extension === undefined) throw new DormouseError('route_unknown');
    return reply(file, extension, await read(join(directory, file)));
  };
}

/** Redirects GET and HEAD to another path of this server. */
export function redirect(location: string): ReplyHandler {
  return (request) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      throw new DormouseError('method_not_allowed', { meta: { allow: 'GET' } });
    }
    return { status: 302, headers: { location }, body: '' };
  };
}

async function read(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new DormouseError('route_unknown', { message: 'There is no such file here.', cause });
  }
}

function reply(file: string, extension: string, body: Uint8Array): MinimalReply {
  const headers: Record<string, string> = {
    ...PAGE_HEADERS,
    'content-type': TYPES[extension] ?? 'application/octet-stream',
    // A bundler's hashed names never change; the page that names them must be asked for each time.
    'cache-control': /-[A-Za-z0-9_]{8,}\.[a-z0-9]+$/.test(file) ? 'public, max-age=31536000, immutable' : 'no-cache',
  };
  return { status: 200, headers, body };
}
