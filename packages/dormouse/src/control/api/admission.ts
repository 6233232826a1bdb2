import { createHash } from 'node:crypto';
import { type Clock, DormouseError } from '../../base/index.ts';
import type { Addresses } from '../databases/index.ts';
import type { Secrets } from '../registry/index.ts';

/** A week. Afterwards the dashboard's URL, which holds the token, opens a new session. */
const SESSION_MS = 7 * 86_400_000;

export interface AdmissionOptions {
  readonly secrets: Pick<Secrets, 'adminToken' | 'isAdminToken' | 'session' | 'isSession'>;
  readonly addresses: Addresses;
  readonly clock: Clock;
}

/** The parts of a request that identify its sender and the page that it comes from. */
export interface Sender {
  readonly method: string;
  header(name: string): string | undefined;
}

/**
 * Admits requests to the management API: with the admin token (the CLI), or with a browser session that the token
 * opened (the dashboard). Host is checked against DNS rebinding, Origin against requests that another site makes a
 * browser send.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #cookie: string;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    // Browsers share cookies between the ports of a host, so two platforms on one host need two names.
    this.#cookie = `dormouse_${createHash('sha256').update(options.secrets.adminToken).digest('hex').slice(0, 8)}`;
  }

  /**
   * Throws `origin_refused` unless the Host of the request is this platform, and its Origin is absent or this platform.
   */
  checkOrigin(sender: Sender): void {
    const { httpPort, publicUrl } = this.#options.addresses;
    const hosts = ['127.0.0.1', 'localhost', '[::1]'].flatMap((name) =>
      httpPort === 80 ? [name, `${name}:80`] : [`${name}:${httpPort}`],
    );
    const host = sender.header('host')?.toLowerCase();
    const origin = sender.header('origin');
    const known =
      host !== undefined && (hosts.includes(host) || (URL.canParse(publicUrl) && host === new URL(publicUrl).host));
    const own = origin === undefined || origin === publicUrl || hosts.includes(origin.replace(/^http:\/\//, ''));
    if (!known || !own) throw new DormouseError('origin_refused');
  }

  /** Throws `admin_token_invalid`, or `origin_refused` for a write by cookie without an Origin. */
  checkSender(sender: Sender): void {
    const { secrets, clock } = this.#options;
    const authorization = sender.header('authorization');
    if (authorization !== undefined) {
      if (/^bearer /i.test(authorization) && secrets.isAdminToken(authorization.slice(7).trim())) return;
      throw new DormouseError('admin_token_invalid');
    }
    const session = readCookie(sender.header('cookie'), this.#cookie);
    if (session === undefined || !secrets.isSession(session, clock.now()))
      throw new DormouseError('admin_token_invalid');
    const reads = sender.method === 'GET' || sender.method === 'HEAD';
    // Browsers send an Origin with every request that may change something.
    if (!reads && sender.header('origin') === undefined) throw new DormouseError('origin_refused');
  }

  /** Begins a session for the sender of the admin token, and gives the Set-Cookie value. */
  begin(token: string): string {
    const { secrets, clock } = this.#options;
    if (!secrets.isAdminToken(token)) throw new DormouseError('admin_token_invalid');
    return this.#setCookie(secrets.session(clock.now() + SESSION_MS), SESSION_MS / 1000);
  }

  /** The Set-Cookie value that ends a session in the browser. */
  end(): string {
    return this.#setCookie('', 0);
  }

  #setCookie(value: string, seconds: number): string {
    const secure = this.#options.addresses.publicUrl.startsWith('https:') ? '; Secure' : '';
    return `${this.#cookie}=${value}; Path=/api; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure}`;
  }
}

function readCookie(header: string | undefined, name: string): string | undefined {
  for (const pair of header?.split(';') ?? []) {
    const equals = pair.indexOf('=');
    if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
  }
  return undefined;
}
