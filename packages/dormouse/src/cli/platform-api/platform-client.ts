import { DormouseError, ERRORS, type ErrorCode } from '../../base/index.ts';

/** The address of a running platform and its admin token. */
export interface PlatformAddress {
  readonly url: string;
  readonly token: string;
  /** The origin of the address, for messages: `--url`, `DORMOUSE_URL` or the path of a file. */
  readonly source: string;
}

/** The management API of a running platform, over HTTP. */
export interface PlatformClient {
  readonly address: PlatformAddress;
  /**
   * Sends one request and gives the JSON of a 2xx reply. Throws `DormouseError`: the platform's own error, or
   * `platform_unreachable`.
   */
  request(method: string, path: string, body?: unknown): Promise<unknown>;
}

export function platformClient(address: PlatformAddress, send: typeof fetch, signal: AbortSignal): PlatformClient {
  return {
    address,
    async request(method, path, body) {
      let reply: Response;
      let text: string;
      try {
        reply = await send(`${address.url}${path}`, {
          method,
          // A redirect would carry the admin token to another host.
          redirect: 'error',
          signal,
          headers: {
            authorization: `Bearer ${address.token}`,
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        text = await reply.text();
      } catch (cause) {
        if (signal.aborted) throw new DormouseError('interrupted');
        throw unreachable(address, cause);
      }
      const value = parseJson(text);
      if (reply.ok && value !== undefined) return value;
      if (reply.ok && text === '') return {};
      throw refusal(address, reply.status, value);
    },
  };
}

function unreachable(address: PlatformAddress, cause: unknown): DormouseError {
  // The error of fetch says only "fetch failed"; its cause says why.
  const { code, message } = ((cause as Error).cause ?? cause) as { code?: string; message?: string };
  const why = code === 'ECONNREFUSED' ? 'nothing listens there' : (code ?? message ?? 'the connection broke');
  return new DormouseError('platform_unreachable', {
    cause,
    message: `No running Dormouse answers at ${address.url} (from ${address.source}): ${why}. Start one with \`dormouse start\`, or name it with --url or --data.`,
  });
}

/** The error for a reply that is not 2xx or not JSON. */
function refusal(address: PlatformAddress, status: number, value: unknown): DormouseError {
  const body = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const code = body.code;
  const message = typeof body.message === 'string' ? body.message : undefined;
  if (typeof code === 'string' && Object.hasOwn(ERRORS, code)) {
    return new DormouseError(code as ErrorCode, message === undefined ? {} : { message });
  }
  return new DormouseError('platform_unreachable', {
    message: `${address.url} (from ${address.source}) answers with status ${status}, but not as Dormouse does. Name the right address with --url.`,
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
