import { silentLogger } from '../../src/base/index.ts';
import { type OpenPort, openPort } from '../../src/front/listen/index.ts';

/** Lets a door listen on a free port of 127.0.0.1, and gives the port. */
export async function openDoor(door: { listen(port: OpenPort): Promise<void> }): Promise<number> {
  const open = await openPort({ host: '127.0.0.1', port: 0, portFlag: '--port', log: silentLogger });
  await door.listen(open);
  return open.port;
}
