import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';

const TYPES: Record<string, string> = { js: 'text/javascript', css: 'text/css', html: 'text/html' };

/** A built page on an origin that passes `/api` on to the feed's server. */
export interface AppServer {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves a folder, and `/rows/<table>`, the page's own data.
 * @param rowsOf the number of a table's rows.
 */
export async function serveApp(
  folder: string,
  target: string,
  rowsOf: (table: string) => Promise<number>,
): Promise<AppServer> {
  const http = createServer(async (from, to) => {
    const { pathname } = new URL(from.url ?? '', 'http://page');
    if (pathname.startsWith('/api/')) {
      const on = request(new URL(from.url ?? '', target), { method: from.method, headers: from.headers }, (answer) => {
        to.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(to);
        answer.on('error', () => to.destroy());
      });
      on.on('error', () => to.destroy());
      to.on('close', () => on.destroy());
      from.pipe(on);
    } else if (pathname.startsWith('/rows/')) {
      to.end(String(await rowsOf(pathname.slice('/rows/'.length))));
    } else {
      const file = pathname === '/' ? 'index.html' : normalize(pathname);
      const content = await readFile(join(folder, file)).catch(() => undefined);
      const type = TYPES[file.split('.').at(-1) ?? ''] ?? 'text/plain';
      to.writeHead(content ? 200 : 404, { 'Content-Type': type }).end(content);
    }
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/`,
    close: async () => {
      http.closeAllConnections();
      http.close();
      await once(http, 'close');
    },
  };
}
