import type { Request, RequestHandler } from 'express';
import type { FeedParts } from '../http/feed-parts.js';
import { type HandlerOptions, nodeHandler } from '../http/handler.js';

/**
 * Makes the middleware of the feed for Express 4 and 5. It serves the paths of the feed and passes on all others. Mount it
 * before or behind `express.json()`. Under a mount path, `path` may be the whole path or the part behind the mount.
 *
 * @example app.use(changeFeed(feed, { caller: ({ session }) => session.user }))
 */
export function changeFeed(feed: FeedParts, options: HandlerOptions<Request>): RequestHandler {
  const handle = nodeHandler(feed, options);
  return (request, response, next) => {
    handle(request, response).then((isOwn) => isOwn || next(), next);
  };
}
