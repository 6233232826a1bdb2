import {
  DormouseError,
  type Logger,
  type MinimalReply,
  type MinimalRequest,
  toDormouseError,
} from '../../base/index.ts';
import type { Control } from '../control.ts';
import type { Admission } from './admission.ts';

export interface ApiOptions {
  readonly control: Control;
  readonly admission: Admission;
  readonly log: Logger;
  /** What the platform adds to the status: version, public URL, region, start, health. */
  readonly status: () => Readonly<Record<string, unknown>> | Promise<Readonly<Record<string, unknown>>>;
}

/** One request of the management API, admitted and split. */
interface ApiRequest {
  readonly control: Control;
  /** The path segments in place of a route's `:`, decoded. */
  readonly names: readonly string[];
  /** The body as an object; empty if there is none. */
  readonly body: Readonly<Record<string, unknown>>;
}

interface ApiRoute {
  readonly method: string;
  readonly path: string;
  /** HTTP status of a reply without an error; 200 if absent. */
  readonly status?: number;
  readonly answer: (request: ApiRequest) => unknown;
}

const STATES = ['suspend', 'stop', 'wake'] as const;

// `:` stands for one segment.
const ROUTES: readonly ApiRoute[] = [
  { method: 'GET', path: '/api/databases', answer: ({ control }) => ({ databases: control.listDatabases() }) },
  {
    method: 'POST',
    path: '/api/databases',
    status: 201,
    answer: ({ control, body }) => control.createDatabase(text(body, 'name')),
  },
  { method: 'GET', path: '/api/databases/:', answer: ({ control, names }) => control.showDatabase(first(names)) },
  {
    method: 'PATCH',
    path: '/api/databases/:',
    answer: ({ control, names, body }) => control.change(first(names), body),
  },
  { method: 'DELETE', path: '/api/databases/:', answer: ({ control, names }) => control.deleteDatabase(first(names)) },
  { method: 'POST', path: '/api/databases/:/branches', status: 201, answer: branch },
  ...STATES.map((verb) => ({
    method: 'POST',
    path: `/api/databases/:/${verb}`,
    answer: ({ control, names }: ApiRequest): unknown => control.setState(first(names), verb),
  })),
  {
    method: 'GET',
    path: '/api/databases/:/keys',
    answer: ({ control, names }) => ({ keys: control.listKeys(first(names)) }),
  },
  {
    method: 'POST',
    path: '/api/databases/:/keys',
    status: 201,
    answer: ({ control, names, body }) =>
      control.createKey(first(names), text(body, 'role'), optionalText(body, 'label')),
  },
  {
    method: 'GET',
    path: '/api/databases/:/keys/:',
    answer: ({ control, names }) => control.showKey(first(names), names[1] ?? ''),
  },
  {
    method: 'DELETE',
    path: '/api/databases/:/keys/:',
    answer: ({ control, names }) => control.revokeKey(first(names), names[1] ?? ''),
  },
];

/** With `wait: false` the reply comes at once, with a database in the state `creating`; its id shows its progress. */
async function branch({ control, names, body }: ApiRequest): Promise<unknown> {
  const { id, done } = control.beginBranch(first(names), text(body, 'name'), {
    atRest: toggle(body, 'atRest', false),
    throwAway: toggle(body, 'throwAway', false),
  });
  if (toggle(body, 'wait', true)) return done;
  done.catch(() => {});
  return control.showDatabase(id);
}

/**
 * The management API: JSON, for the CLI and the dashboard. Never throws: an error becomes `{code, message}` with the
 * HTTP status of its row in the error table.
 */
export function createApi(options: ApiOptions): (request: MinimalRequest) => Promise<MinimalReply> {
  const { admission, control, log } = options;
  return async (request) => {
    try {
      admission.checkOrigin(request);
      if (request.path === '/api/session') return session(request, admission);
      admission.checkSender(request);
      if (request.path === '/api/status') {
        if (request.method !== 'GET') throw new DormouseError('method_not_allowed', { meta: { allow: 'GET' } });
        return json(200, { ...(await options.status()), ...control.totals() });
      }
      const { route, names } = match(request.method, request.path);
      const value = await route.answer({ control, names, body: readBody(request) });
      return json(route.status ?? 200, value);
    } catch (thrown) {
      const error = toDormouseError(thrown);
      if (error.code === 'internal') log.log('error', error.message, { path: request.path, cause: error.cause });
      return apiError(error);
    }
  };
}

/** An error as the management API writes it. */
export function apiError(error: DormouseError): MinimalReply {
  const reply = json(error.row.status, { code: error.code, message: error.operatorMessage });
  const { allow } = error.meta ?? {};
  return error.code === 'method_not_allowed' && typeof allow === 'string'
    ? { ...reply, headers: { ...reply.headers, allow } }
    : reply;
}

function session(request: MinimalRequest, admission: Admission): MinimalReply {
  switch (request.method) {
    case 'GET':
      admission.checkSender(request);
      return json(200, { ok: true });
    case 'POST':
      return { status: 204, headers: { 'set-cookie': admission.begin(text(readBody(request), 'token')) }, body: '' };
    case 'DELETE':
      return { status: 204, headers: { 'set-cookie': admission.end() }, body: '' };
    default:
      throw new DormouseError('method_not_allowed', { meta: { allow: 'GET, POST, DELETE' } });
  }
}

function match(method: string, path: string): { route: ApiRoute; names: readonly string[] } {
  const segments = path.split('/');
  const here = ROUTES.filter((route) => {
    const pattern = route.path.split('/');
    return pattern.length === segments.length && pattern.every((part, at) => part === ':' || part === segments[at]);
  });
  const route = here.find((candidate) => candidate.method === method);
  if (!route) {
    if (here.length === 0) throw new DormouseError('route_unknown');
    throw new DormouseError('method_not_allowed', {
      meta: { allow: here.map((candidate) => candidate.method).join(', ') },
    });
  }
  const pattern = route.path.split('/');
  return { route, names: segments.filter((_, at) => pattern[at] === ':').map(decode) };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw new DormouseError('request_invalid', { message: 'The address is not properly encoded.', cause });
  }
}

function readBody(request: MinimalRequest): Readonly<Record<string, unknown>> {
  if (request.body.byteLength === 0) return {};
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(request.body));
  } catch (cause) {
    throw new DormouseError('request_invalid', { message: 'The body is not JSON.', cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new DormouseError('request_invalid', { message: 'The body is not a JSON object.' });
  }
  return value as Record<string, unknown>;
}

function text(body: Readonly<Record<string, unknown>>, name: string): string {
  const value = body[name];
  if (typeof value !== 'string')
    throw new DormouseError('request_invalid', { message: `The body needs "${name}", a string.` });
  return value;
}

function optionalText(body: Readonly<Record<string, unknown>>, name: string): string | null {
  return body[name] === undefined || body[name] === null ? null : text(body, name);
}

function toggle(body: Readonly<Record<string, unknown>>, name: string, otherwise: boolean): boolean {
  const value = body[name] ?? otherwise;
  if (typeof value !== 'boolean')
    throw new DormouseError('request_invalid', { message: `"${name}" in the body is true or false.` });
  return value;
}

function first(names: readonly string[]): string {
  return names[0] ?? '';
}

function json(status: number, value: unknown): MinimalReply {
  // Not stored by browsers: a reply is true for its moment only, and may hold keys.
  return {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    body: JSON.stringify(value),
  };
}
