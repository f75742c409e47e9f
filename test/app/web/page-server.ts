import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';
import { packageRoot } from '../../../src/package-root.js';

/** A page with one service, as built, on an origin that passes `/api` on to the server. */
export interface PageServer {
  readonly port: number;
  close(): Promise<void>;
}

const HTML = `<!doctype html><title>client</title><script type="module">
import { SSEService } from '/client/index.js';
const options = JSON.parse(decodeURIComponent(location.search.slice(1) || '%7B%7D'));
localStorage.jwt ??= options.token ?? '';
const service = new SSEService(options);
const page = Object.assign(window, { service, told: [], statuses: [] });
service.onStatus((status) => page.statuses.push(status));
service.on('a', ({ data, reason }) => page.told.push(reason ?? data));
</script>`;

/** Serves the page and the built client. @param target where the server is. */
export async function servePage(target: string): Promise<PageServer> {
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
      return;
    }
    if (!pathname.endsWith('.js')) {
      to.writeHead(200, { 'Content-Type': 'text/html' }).end(pathname === '/elsewhere' ? '<!doctype html>' : HTML);
      return;
    }
    const file = join(packageRoot, 'dist/src', normalize(pathname));
    const code = await readFile(file).catch(() => undefined);
    to.writeHead(code ? 200 : 404, { 'Content-Type': 'text/javascript' }).end(code);
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
