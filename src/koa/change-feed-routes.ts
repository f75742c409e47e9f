import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { z } from 'zod';
import { type Authorize, callerOfClaims, failingClosed } from '../http/authorize.js';
import { parseClaims } from '../http/claims.js';
import { HttpError } from '../http/http-error.js';
import type { FeedWithStreams } from './create-change-feed.js';
import { errorResponses } from './errors.js';
import { jsonBody } from './json-body.js';
import { type Caller, type SSERoutesOptions, sseRoutes } from './stream-routes.js';

/** A body names a stream, a resource and a position. */
const MAX_BODY_KB = 64;

/** Who may hear what, in the application's own words. */
interface ByCaller extends Pick<SSERoutesOptions, 'callerOf'> {}

/** The same, by the claims of a token whose signature the application has checked already. */
interface ByClaims {
  /**
   * The claims of a request's token, as they are: `({ state }) => state.user` behind koa-jwt. Without `sub`, or where one
   * that the feed reads is malformed (`sub`, `exp`, `resources`), the answer is 401.
   */
  readonly claimsOf: (ctx: Context) => unknown;
  /** Receives the claims only when they are well formed: `resources` is `*`, a list of names, or absent. */
  readonly authorize: Authorize;
  /** How long the application takes a token after its end, in seconds: the stream ends with it. Default 0. */
  readonly toleranceS?: number;
}

/** What {@link changeFeedRoutes} takes. */
export type ChangeFeedRoutesOptions = Pick<SSERoutesOptions, 'limits' | 'path'> & {
  /** Runs before each of these routes, where the application does not authenticate anyway. */
  readonly authenticate?: Middleware;
} & (ByCaller | ByClaims);

/**
 * `GET /api/events`, `POST /api/events/subscribe` and `/unsubscribe`, for any Koa application:
 * `app.use(changeFeedRoutes(feed, { claimsOf, authorize }).routes())`. They read JSON bodies themselves unless the application has
 * done so already (`ctx.request.body`), and answer errors as `{"error":{"code":"…","message":"…"}}`.
 */
export function changeFeedRoutes(feed: FeedWithStreams, options: ChangeFeedRoutesOptions): Router {
  const { authenticate, ...rest } = options;
  const { changes, streams, logger } = feed;
  const callerOf = 'callerOf' in options ? options.callerOf : byClaims(options);
  const router = new Router({ sensitive: true });
  router.use(errorResponses(logger));
  if (authenticate) router.use(authenticate);
  router.use(jsonBody(MAX_BODY_KB));
  const routes = sseRoutes({
    ...rest,
    feed: changes,
    manager: streams,
    callerOf: async (ctx) => {
      const given = await callerOf(ctx);
      requireCaller(given);
      return { ...given, authorize: failingClosed(given.authorize, logger) };
    },
  });
  router.use(routes.routes());
  return router;
}

function byClaims({ claimsOf, authorize, toleranceS = 0 }: ByClaims): SSERoutesOptions['callerOf'] {
  return (ctx) => callerOfClaims(parseClaims(claimsOf(ctx)), authorize, toleranceS);
}

const caller = z.looseObject({
  // Streams without an owner would be everybody's.
  subject: z.string('expected text').min(1, 'expected text'),
  expiresAt: z.number('expected ms since 1970').optional(),
});

/** @throws {HttpError} unauthorized where the application does not say who asks, or until when. */
function requireCaller(given: Caller): void {
  const [issue] = caller.safeParse(given).error?.issues ?? [];
  if (issue) throw new HttpError('unauthorized', `The caller has no valid ${issue.path.join('.')}: ${issue.message}`);
}
