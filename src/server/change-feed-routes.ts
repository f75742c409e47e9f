import Router from '@koa/router';
import type { Middleware } from 'koa';
import { type SSERoutesOptions, sseRoutes } from '../sse/routes.js';
import { failingClosed } from './authorize.js';
import type { FeedWithStreams } from './create-change-feed.js';
import { errorResponses } from './errors.js';
import { jsonBody } from './json-body.js';

/** A body names a stream, a resource and a position. */
const MAX_BODY_KB = 64;

/** What {@link changeFeedRoutes} takes. */
export interface ChangeFeedRoutesOptions extends Pick<SSERoutesOptions, 'callerOf' | 'limits' | 'path'> {
  /** Runs before each of these routes, where the application does not authenticate anyway. */
  readonly authenticate?: Middleware;
}

/**
 * `GET /api/events`, `POST /api/events/subscribe` and `/unsubscribe`, for any Koa application:
 * `app.use(changeFeedRoutes(feed, { callerOf }).routes())`. They read JSON bodies themselves unless the application has
 * done so already (`ctx.request.body`), and answer errors as `{"error":{"code":"…","message":"…"}}`.
 */
export function changeFeedRoutes(feed: FeedWithStreams, options: ChangeFeedRoutesOptions): Router {
  const { authenticate, callerOf, ...rest } = options;
  const { changes, streams, logger } = feed;
  const router = new Router();
  router.use(errorResponses(logger));
  if (authenticate) router.use(authenticate);
  router.use(jsonBody(MAX_BODY_KB));
  const routes = sseRoutes({
    ...rest,
    feed: changes,
    manager: streams,
    callerOf: async (ctx) => {
      const caller = await callerOf(ctx);
      return { ...caller, mayRead: failingClosed(caller.mayRead, logger) };
    },
  });
  router.use(routes.routes());
  return router;
}
