import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { scratch } from '../support/scratch.ts';

/** A door with TLS, as a proxy in front of a platform has: clients before 6.8 speak nothing else. */
export interface TlsDoor {
  readonly url: string;
  /** Passes what comes on to this address. */
  lead(http: string): void;
  close(): void;
}

/** Opens the door at localhost. Its certificate is nobody's: the client must be told not to look. */
export async function openTlsDoor(): Promise<TlsDoor> {
  const home = scratch('tls');
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(home.path, name)) as [string, string];
  const subject = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost'];
  await promisify(execFile)('openssl', ['req', ...subject, '-keyout', key, '-out', cert]);
  let target = '';
  const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (incoming, outgoing) => {
    const { method = 'GET', headers, url = '' } = incoming;
    const onward = request(target + url, { method, headers }, (reply) => {
      outgoing.writeHead(reply.statusCode ?? 500, reply.headers);
      reply.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `https://localhost:${(server.address() as AddressInfo).port}`,
    lead(http) {
      target = http;
    },
    close() {
      server.closeAllConnections();
      server.close();
      home.remove();
    },
  };
}
