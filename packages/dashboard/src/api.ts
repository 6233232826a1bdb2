import type { DatabaseDetail, DatabaseSummary, PlatformStatus } from '../../dormouse/src/management-api/index.ts';

/** The management API, as far as the page uses it. The browser adds the session cookie to every request. */

export type { DatabaseSummary, LimitsView, RestView } from '../../dormouse/src/management-api/index.ts';

export type DatabaseUrls = Pick<DatabaseDetail, 'prismaUrl' | 'postgresUrl' | 'pulseUrl'>;
export type Status = Pick<PlatformStatus, 'version' | 'region' | 'oldest'>;

export type Action = 'wake' | 'suspend' | 'stop';

/** An error of the platform with its message; the status is 0 when the platform could not be reached. */
export class ApiError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

async function request<T>(method: string, path: string, body?: unknown): Promise<T> {
  let reply: Response;
  let text: string;
  try {
    reply = await fetch(path, {
      method,
      credentials: 'same-origin',
      redirect: 'error',
      cache: 'no-store',
      ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    text = await reply.text();
  } catch {
    throw new ApiError(0, 'Dormouse cannot be reached. Is it running?');
  }
  if (reply.ok) return (text === '' ? undefined : JSON.parse(text)) as T;
  throw new ApiError(reply.status, messageOf(text) ?? `Dormouse answered with status ${reply.status}.`);
}

function messageOf(text: string): string | undefined {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return typeof message === 'string' ? message : undefined;
  } catch {
    return undefined;
  }
}

const path = (id: string) => `/api/databases/${encodeURIComponent(id)}`;

export interface Api {
  /** Exchanges the admin token for the session cookie. */
  openSession(token: string): Promise<void>;
  /** Whether the session is valid. Throws when the platform cannot be reached. */
  hasSession(): Promise<boolean>;
  status(): Promise<Status>;
  databases(): Promise<readonly DatabaseSummary[]>;
  create(name: string): Promise<DatabaseSummary>;
  urls(id: string): Promise<DatabaseUrls>;
  act(id: string, action: Action): Promise<DatabaseSummary>;
  setAlwaysOn(id: string, alwaysOn: boolean): Promise<DatabaseSummary>;
}

export const api: Api = {
  openSession: (token) => request('POST', '/api/session', { token }),
  async hasSession() {
    try {
      await request('GET', '/api/session');
      return true;
    } catch (error) {
      if (error instanceof ApiError && (error.status === 401 || error.status === 403)) return false;
      throw error;
    }
  },
  status: () => request('GET', '/api/status'),
  databases: async () => (await request<{ databases: readonly DatabaseSummary[] }>('GET', '/api/databases')).databases,
  create: (name) => request('POST', '/api/databases', { name }),
  urls: (id) => request('GET', path(id)),
  setAlwaysOn: (id, alwaysOn) => request('PATCH', path(id), { alwaysOn }),
  act: (id, action) => request('POST', `${path(id)}/${action}`),
};
