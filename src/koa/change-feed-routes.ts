import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { type Authorize, callerOfClaims } from '../http/authorize.js';
import { type Caller, requireCaller } from '../http/caller.js';
import { parseClaims } from '../http/claims.js';
import type { FeedWithStreams } from '../http/create-change-feed.js';
import { feedRoutes, type SSELimits } from '../http/handlers/feed-handlers.js';
import { errorResponses } from './errors.js';
import { koaExchange, setAnswer } from './koa-exchange.js';

/** Rights as the application itself decides them. */
interface ByCaller {
  /** Returns the caller of a request, or throws to refuse it. Runs after the application's own authentication. */
  readonly callerOf: (ctx: Context) => Caller | Promise<Caller>;
}

/** Rights by the claims of a token whose signature the application has checked already. */
interface ByClaims {
  /**
   * Returns the claims of a request's token, as they are: `({ state }) => state.user` behind koa-jwt. The answer is 401
   * without `sub`, or where a claim that the feed reads is malformed (`sub`, `exp`, `resources`).
   */
  readonly claimsOf: (ctx: Context) => unknown;
  /** Decides whether well formed claims allow a resource: their `resources` is `*`, a list of names, or absent. */
  readonly authorize: Authorize;
  /** The time for which the application accepts a token after its end, in seconds; the stream ends then. Default 0. */
  readonly toleranceS?: number;
}

/** Options of {@link changeFeedRoutes}. */
export type ChangeFeedRoutesOptions = {
  /** Limits on streams, for this process. */
  readonly limits?: SSELimits;
  /** The path at which the routes begin. Default `/api/events`. */
  readonly path?: string;
  /** A middleware that runs before each of these routes. Default: none, for an application that authenticates before. */
  readonly authenticate?: Middleware;
} & (ByCaller | ByClaims);

/**
 * Makes the routes `GET /api/events`, `GET /api/events/poll`, `POST /api/events/subscribe` and `/unsubscribe` for any Koa
 * application. They read JSON bodies themselves unless the application has done so already (`ctx.request.body`), and answer
 * errors as `{"error":{"code":"…","message":"…"}}`.
 *
 * @example app.use(changeFeedRoutes(feed, { claimsOf, authorize }).routes())
 */
export function changeFeedRoutes(feed: FeedWithStreams, options: ChangeFeedRoutesOptions): Router {
  const { authenticate, limits, path = '/api/events' } = options;
  const callerOf = 'callerOf' in options ? options.callerOf : byClaims(options);
  const router = new Router({ prefix: path, sensitive: true });
  router.use(errorResponses(feed.logger));
  if (authenticate) router.use(authenticate);
  for (const { path: ending, method, handle } of feedRoutes(feed.changes, feed.streams, limits)) {
    router.register(ending || '/', [method], async (ctx: Context) => {
      const answer = await handle(koaExchange(ctx), async () => requireCaller(await callerOf(ctx), feed.logger));
      if (answer) setAnswer(ctx, answer);
    });
  }
  return router;
}

function byClaims({ claimsOf, authorize, toleranceS = 0 }: ByClaims): ByCaller['callerOf'] {
  return (ctx) => callerOfClaims(parseClaims(claimsOf(ctx)), authorize, toleranceS);
}
