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

/** The caller of a request, and its rights. */
export interface Caller {
  /** The `sub` of the token: a stream belongs to the subject that opened it. */
  readonly subject: string;
  /** Decides whether the caller may receive a resource. Anything but true is a no. */
  readonly authorize: (resource: string) => boolean;
  /** The end of the caller's rights, in ms since 1970. Absent: never. */
  readonly expiresAt?: number;
}

/** Limits on streams and their subscriptions. */
export interface SSELimits extends StreamLimitsOptions {
  /** The largest number of subscriptions of one stream, by URL and POST; one more is 400 or 429. Default 100. */
  readonly maxSubscriptions?: number | undefined;
}

/** Options of {@link sseRoutes}. */
export interface SSERoutesOptions {
  readonly feed: ChangeFeed;
  readonly manager: SSEManager;
  /** Returns the caller of a request, or throws to refuse it. Runs after the application's own authentication. */
  readonly callerOf: (ctx: Context) => Caller | Promise<Caller>;
  /** Limits on streams, for this process. */
  readonly limits?: SSELimits;
  /** The path at which the routes begin. Default `/api/events`. */
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
 * Makes the routes `GET /api/events`, `GET /api/events/poll`, `POST /api/events/subscribe` and `/unsubscribe`. Mount them
 * behind authentication and a parser of JSON bodies (`ctx.request.body`).
 */
export function sseRoutes({ feed, manager, callerOf, limits = {}, path = '/api/events' }: SSERoutesOptions): Router {
  const router = new Router({ prefix: path, sensitive: true });
  const { maxSubscriptions = 100 } = limits;
  const streams = new StreamLimits(limits);
  const subscriptions = new Subscriptions(feed, manager, maxSubscriptions);

  router.get('/', async (ctx) => {
    // The router answers HEAD like GET, and the answer would wait for the end of a stream.
    if (ctx.method !== 'GET') throw new HttpError('method_not_allowed', `${path} takes GET only`, { Allow: 'GET' });
    const { subject, authorize, expiresAt } = await callerOf(ctx);
    const resources = requestedResources(parametersOf(ctx).resources, maxSubscriptions);
    for (const resource of resources) if (!isAuthorized(resource, authorize)) throw forbidden(resource);
    const since = resumePosition(ctx);

    if (manager.closed) throw new HttpError('unavailable', 'The server stops', { 'Retry-After': '1' });
    if (ctx.res.destroyed || ctx.req.socket.destroyed) return; // the client has left already
    const onClose = streams.admit(subject);
    ctx.status = 200;
    ctx.set({
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-cache, no-transform',
      // Else nginx keeps events back until its buffer is full
      'X-Accel-Buffering': 'no',
    });
    // With the stream as its body, Koa would log a premature-close error for every client that leaves.
    ctx.respond = false;
    manager.open({
      response: ctx.res,
      subject,
      authorize,
      resources,
      // A client that names all its resources in the URL needs no time to subscribe by POST.
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
