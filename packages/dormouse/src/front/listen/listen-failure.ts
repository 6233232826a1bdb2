import { DormouseError } from '../../base/index.ts';

/** Why a port could not be opened: `port_in_use`, `usage_invalid` with what to do, or `internal`. */
export function listenFailure(
  error: NodeJS.ErrnoException,
  host: string,
  port: number,
  portFlag: '--port' | '--pg-port',
): DormouseError {
  const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return new DormouseError('port_in_use', {
        message: `Port ${port} on ${host} is in use. Stop the program that uses it, or choose another with ${portFlag}.`,
        meta: { host, port },
        cause: error,
      });
    case 'EACCES':
      return new DormouseError('usage_invalid', {
        message: `This account may not open ${address}. Choose a port above 1023 with ${portFlag}.`,
        cause: error,
      });
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new DormouseError('usage_invalid', {
        message: `${host} is not an address of this machine. Choose another with --host.`,
        cause: error,
      });
    default:
      return new DormouseError('internal', { message: `Cannot listen on ${address}: ${error.message}`, cause: error });
  }
}
