import { readFile } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import { packageRoot } from '../../../src/package-root.js';
import { type Site, serveSite } from '../../site.js';

/** A page with one service, as built. */
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
export function servePage(target: string): Promise<Site> {
  return serveSite(target, async (pathname, to) => {
    if (!pathname.endsWith('.js')) {
      to.writeHead(200, { 'Content-Type': 'text/html' }).end(pathname === '/elsewhere' ? '<!doctype html>' : HTML);
      return;
    }
    const file = join(packageRoot, 'dist/src', normalize(pathname));
    const code = await readFile(file).catch(() => undefined);
    to.writeHead(code ? 200 : 404, { 'Content-Type': 'text/javascript' }).end(code);
  });
}
