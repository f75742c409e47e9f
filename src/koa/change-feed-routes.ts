import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import type { Authorize } from '../http/authorize.js';
import { callerOfClaims } from '../http/caller.js';
import { Endpoint, type EndpointOptions } from '../http/endpoint.js';
import type { FeedParts } from '../http/feed-parts.js';
import { errorResponses } from './errors.js';
import { koaExchange, setAnswer } from './koa-exchange.js';

/** Rights by the claims of a token whose signature the application has checked already. */
interface ByClaims {
  /**
   * Returns the claims of a request's token, as they are: `({ state }) => state.user` behind koa-jwt. The answer is 401
   * without `sub`, or where a claim that the feed reads is malformed (`sub`, `exp`, `resources`).
   */
  readonly claimsOf: (ctx: Context) => unknown;
  /** Decides whether well formed claims allow a resource or a scope: their `resources` is `*`, a list, or absent. */
  readonly authorize: Authorize;
  /** The time for which the application accepts a token after its end, in seconds; the stream ends then. Default 0. */
  readonly toleranceS?: number;
}

/** All methods but OPTIONS: the feed refuses a method with the one that it takes. */
const METHODS = ['DELETE', 'GET', 'HEAD', 'PATCH', 'POST', 'PUT'];

/** Options of {@link changeFeedRoutes}. */
export type ChangeFeedRoutesOptions = Omit<EndpointOptions<[ctx: Context]>, 'caller'> & {
  /** A middleware that runs before each of these routes but the monitor's page. Default: none, for an application that authenticates before. */
  readonly authenticate?: Middleware;
} & (Pick<EndpointOptions<[ctx: Context]>, 'caller'> | ByClaims);

/**
 * Makes the routes `GET /api/events`, `GET /api/events/poll`, `POST /api/events/subscribe` and `/unsubscribe` for any Koa
 * application. They read JSON bodies themselves unless the application has done so already (`ctx.request.body`), and answer
 * errors as `{"error":{"code":"…","message":"…"}}`.
 *
 * @example app.use(changeFeedRoutes(feed, { caller: ({ state }) => callerOfClaims(state.user) }).routes())
 */
export function changeFeedRoutes(feed: FeedParts, options: ChangeFeedRoutesOptions): Router {
  const { authenticate } = options;
  const caller = 'caller' in options ? options.caller : byClaims(options);
  const endpoint = new Endpoint<[Context]>(feed, { ...options, caller });
  const router = new Router({ sensitive: true });
  router.use(errorResponses(feed.logger));
  for (const route of endpoint.routes) {
    const answers = async (ctx: Context) => {
      const answer = await endpoint.answer(route, koaExchange(ctx), ctx);
      if (answer) setAnswer(ctx, answer);
    };
    router.register(route.path || '/', METHODS, authenticate && !route.isOpen ? [authenticate, answers] : answers);
  }
  return router;
}

function byClaims({ claimsOf, authorize, toleranceS = 0 }: ByClaims): EndpointOptions<[ctx: Context]>['caller'] {
  return (ctx) => callerOfClaims(claimsOf(ctx), { authorize, toleranceS });
}
