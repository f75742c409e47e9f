import { readFile } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import { serveSite } from '../site.js';

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
  const { port, close } = await serveSite(target, async (pathname, to) => {
    if (pathname.startsWith('/rows/')) {
      to.end(String(await rowsOf(pathname.slice('/rows/'.length))));
      return;
    }
    const file = pathname === '/' ? 'index.html' : normalize(pathname);
    const content = await readFile(join(folder, file)).catch(() => undefined);
    const type = TYPES[file.split('.').at(-1) ?? ''] ?? 'text/plain';
    to.writeHead(content ? 200 : 404, { 'Content-Type': type }).end(content);
  });
  return { url: `http://127.0.0.1:${port}/`, close };
}
