import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '../../../package-root.js';
import { HttpError } from '../../http-error.js';
import type { FeedRoute } from '../feed-handlers.js';

/** The path of the page. */
const PAGE = '/monitor';
/** The folder into which `npm run build` puts it. */
const FOLDER = join(packageRoot, 'dist/src/monitor/page');
/** The folder of its files in there: a page at /monitor loads them from behind it. */
const ASSETS = 'monitor';

/** Kinds of files that the page has, and their types. */
const TYPES: Readonly<Record<string, string>> = {
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
};

/** Lets the page run and load its own files, and nothing else, and no other page frame it. */
const SECURITY = {
  'Content-Security-Policy':
    "default-src 'none';script-src 'self';style-src 'self';connect-src 'self';img-src data:;base-uri 'none';form-action 'none';frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
};

const MOVED = { status: 308, headers: { Location: `..${PAGE}` }, text: '' };

/** Makes the routes of the monitor's page and its files. They hold nothing of the feed, and so need no caller. */
export function pageRoutes(): readonly FeedRoute[] {
  const page: FeedRoute = {
    path: PAGE,
    method: 'GET',
    isOpen: true,
    handle: async ({ path }) =>
      // Behind a slash its files would be elsewhere.
      path.endsWith('/') ? MOVED : fileAnswer('index.html', 'text/html; charset=utf-8', 'no-cache'),
  };
  const files = assets().map(
    ({ name, type }): FeedRoute => ({
      path: `/${name}`,
      method: 'GET',
      isOpen: true,
      // Its name carries a hash of what is in it.
      handle: () => fileAnswer(name, type, 'public, max-age=31536000, immutable'),
    }),
  );
  return [page, ...files];
}

async function fileAnswer(name: string, type: string, caching: string) {
  const text = await readFile(join(FOLDER, name), 'utf8').catch(() => {
    throw new HttpError('not_found', 'The page of the monitor is not built: run `npm run build`');
  });
  return { status: 200, headers: { 'Content-Type': type, 'Cache-Control': caching, ...SECURITY }, text };
}

function assets(): readonly { readonly name: string; readonly type: string }[] {
  try {
    return readdirSync(join(FOLDER, ASSETS)).flatMap((file) => {
      const type = TYPES[file.split('.').at(-1) ?? ''];
      return type ? [{ name: `${ASSETS}/${file}`, type }] : [];
    });
  } catch {
    return []; // it is not built
  }
}
