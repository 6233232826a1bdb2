import type { Duplex } from 'node:stream';
import { DormouseError, newRequestId, type RandomBytes } from '../../base/index.ts';
import { renderError } from '../../edge/index.ts';

/** The error for a failure of Node's parser, which came before there was a request to answer. */
export function parseFailure(error: NodeJS.ErrnoException): DormouseError {
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW':
      return new DormouseError('headers_too_large');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new DormouseError('body_timeout', { message: 'The request headers did not arrive in time.' });
    case 'HPE_INVALID_EOF_STATE':
      return new DormouseError('request_invalid', { message: 'The request ended before it was complete.' });
    default:
      return new DormouseError('request_invalid', {
        message: 'This is not an HTTP/1.1 request that can be understood.',
      });
  }
}

/** Answers on a bare socket and closes it, where there is no request, or an upgrade is refused. */
export function refuseSocket(socket: Duplex, error: DormouseError, random: RandomBytes, region: string): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const reply = renderError(error, 'prisma7');
  const body = String(reply.body);
  const headers = {
    ...reply.headers,
    'content-length': String(Buffer.byteLength(body)),
    'cf-ray': `${newRequestId(random)}-${region}`,
    'server-timing': 'total;dur=0.000',
    connection: 'close',
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.on('error', () => {});
  socket.end(`HTTP/1.1 ${reply.status} ${error.code}\r\n${lines.join('')}\r\n${body}`);
}
