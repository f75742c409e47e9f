import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A web server on a free port of 127.0.0.1. */
export interface Site {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves pages on an origin that passes `/api` on to the feed's server.
 * @param target where that server is.
 * @param answer answers all else.
 */
export async function serveSite(
  target: string,
  answer: (pathname: string, response: ServerResponse) => Promise<void>,
): Promise<Site> {
  const http = createServer(async (from, to) => {
    const { pathname } = new URL(from.url ?? '', 'http://page');
    if (pathname.startsWith('/api/')) passOn(from, to, target);
    else await answer(pathname, to);
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  return {
    port: (http.address() as AddressInfo).port,
    close: async () => {
      http.closeAllConnections();
      http.close();
      await once(http, 'close');
    },
  };
}

function passOn(from: IncomingMessage, to: ServerResponse, target: string): void {
  const on = request(new URL(from.url ?? '', target), { method: from.method, headers: from.headers }, (answer) => {
    to.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(to);
    answer.on('error', () => to.destroy());
  });
  on.on('error', () => to.destroy());
  to.on('close', () => on.destroy());
  from.pipe(on);
}
