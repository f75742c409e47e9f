import type {} from '@koa/bodyparser';
import Router from '@koa/router';
import type { Context } from 'koa';
import { z } from 'zod';
import type { ChangeFeed } from '../feed/change-feed.js';
import { HttpError } from '../http/http-error.js';
import type { SSEManager } from '../streams/manager.js';
import { StreamLimits, type StreamLimitsOptions } from '../streams/stream-limits.js';
import { EVERY_RESOURCE } from '../streams/subscription.js';
import { forbidden, isAuthorized, requirePosition, Subscriptions } from '../streams/subscriptions.js';
import { parametersOf } from './parameters.js';
import { pollRoute } from './poll-routes.js';
import { requestedResources, requireResource, resumePosition } from './stream-query.js';

/** Who asks, and what they may hear of. */
export interface Caller {
  /** The token's `sub`: a stream is its opener's own. */
  readonly subject: string;
  readonly authorize: (resource: string) => boolean;
  /** When the caller's right ends, in ms since 1970; absent: never. */
  readonly expiresAt?: number;
}

/** Bounds on streams and on what they subscribe to. */
export interface SSELimits extends StreamLimitsOptions {
  /** Subscriptions of one stream, from its URL and by POST; one more is 400 or 429. Default 100. */
  readonly maxSubscriptions?: number | undefined;
}

/** What the routes stand on. */
export interface SSERoutesOptions {
  readonly feed: ChangeFeed;
  readonly manager: SSEManager;
  /** Says who asks. Runs after the application's own authentication; throws what refuses the request. */
  readonly callerOf: (ctx: Context) => Caller | Promise<Caller>;
  /** Bounds on streams, for this process. */
  readonly limits?: SSELimits;
  /** Where the routes begin. Default `/api/events`. */
  readonly path?: string;
}

const body = z.strictObject({
  clientId: z.string().min(1).max(100),
  resource: z.string(),
  since: z.string().optional(),
});
const bodies: Record<'subscribe' | 'unsubscribe', z.ZodType<z.infer<typeof body>>> = {
  subscribe: body,
  unsubscribe: body.omit({ since: true }),
};

/**
 * `GET /api/events`, `GET /api/events/poll`, `POST /api/events/subscribe` and `/unsubscribe`. Mount them behind authentication and a parser of
 * JSON bodies (`ctx.request.body`).
 */
export function sseRoutes({ feed, manager, callerOf, limits = {}, path = '/api/events' }: SSERoutesOptions): Router {
  const router = new Router({ prefix: path, sensitive: true });
  const { maxSubscriptions = 100 } = limits;
  const streams = new StreamLimits(limits);
  const subscriptions = new Subscriptions(feed, manager, maxSubscriptions);

  router.get('/', async (ctx) => {
    // The router answers HEAD like GET, and a stream has no end that such an answer could wait for.
    if (ctx.method !== 'GET') throw new HttpError('method_not_allowed', `${path} takes GET only`, { Allow: 'GET' });
    const { subject, authorize, expiresAt } = await callerOf(ctx);
    const resources = requestedResources(parametersOf(ctx).resources, maxSubscriptions);
    for (const resource of resources) if (!isAuthorized(resource, authorize)) throw forbidden(resource);
    const since = resumePosition(ctx);

    if (manager.closed) throw new HttpError('unavailable', 'The server stops', { 'Retry-After': '1' });
    if (ctx.res.destroyed || ctx.req.socket.destroyed) return; // it has left already
    const onClose = streams.admit(subject);
    ctx.status = 200;
    ctx.set({
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-cache, no-transform',
      // nginx would keep events back until its buffer is full
      'X-Accel-Buffering': 'no',
    });
    // Koa would log a premature-close error for every client that leaves a stream that is its body.
    ctx.respond = false;
    manager.open({
      response: ctx.res,
      subject,
      authorize,
      resources,
      // Who names all its resources in the URL needs no time to subscribe by POST.
      hold: parametersOf(ctx).hold !== '0',
      onClose,
      ...(since !== undefined && { since }),
      ...(expiresAt !== undefined && { expiresAt }),
    });
  });

  router.get('/poll', pollRoute({ feed, manager, callerOf, streams, maxSubscriptions }));

  for (const action of ['subscribe', 'unsubscribe'] as const) {
    router.post(`/${action}`, async (ctx) => {
      const { subject, authorize } = await callerOf(ctx);
      const { clientId, resource, since } = bodies[action].parse(ctx.request.body);
      requireResource(resource);
      if (since !== undefined) requirePosition(since);
      await subscriptions.carryOut({
        action,
        clientId,
        subject,
        resource,
        authorized: isAuthorized(resource, authorize),
        since,
      });
      const watched = resource === EVERY_RESOURCE || (await feed.isWatched(resource));
      ctx.body = { success: true, resource, watched };
    });
  }

  return router;
}
