import { access } from 'node:fs/promises';
import { join } from 'node:path';
import Router from '@koa/router';
import send from 'koa-send';
import { HttpError } from 'pg-change-feed';
import { builtFolder } from './built-folder.js';

const ROOT = join(builtFolder, 'web');
/** A year: the names of these files carry a hash of what is in them. */
const FOREVER_MS = 365 * 24 * 60 * 60 * 1000;

/** The web UI at `/`, as `npm run build` has made it. */
export function webRoutes(): Router {
  const router = new Router({ sensitive: true });

  router.get('/', async (ctx) => {
    await access(join(ROOT, 'index.html')).catch(() => {
      throw new HttpError('not_found', 'The web UI is not built: run `npm run build`');
    });
    await send(ctx, 'index.html', { root: ROOT });
    // Each visit asks whether it still is the newest; the rest is named in it.
    ctx.set('Cache-Control', 'no-cache');
  });

  router.get('/assets/:name', async (ctx, next) => {
    try {
      await send(ctx, String(ctx.params.name), { root: join(ROOT, 'assets'), maxAge: FOREVER_MS, immutable: true });
    } catch (error) {
      // No such file, or one outside of the folder
      if (!(error instanceof Error && 'status' in error)) throw error;
      await next();
    }
  });

  return router;
}
