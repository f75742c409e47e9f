import { once } from 'node:events';
import { createServer } from 'node:net';
import { OperatorError } from '../operator-error.js';

const ATTEMPTS = 5;

/** The port belongs to another program. */
export class PortInUseError extends OperatorError {}

/** Uses a port that is free; another when a program has taken it between the choice and the use ({@link PortInUseError}). */
export async function onFreePort<T>(host: string, use: (port: number) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await use(await freePort(host));
    } catch (error) {
      if (!(error instanceof PortInUseError) || attempt === ATTEMPTS) throw error;
    }
  }
}

async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}
