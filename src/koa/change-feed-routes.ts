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

/** The largest body, in kB: it names a stream, a resource and a position. */
const MAX_BODY_KB = 64;

/** Rights as the application itself decides them. */
interface ByCaller extends Pick<SSERoutesOptions, 'callerOf'> {}

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
export type ChangeFeedRoutesOptions = Pick<SSERoutesOptions, 'limits' | 'path'> & {
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
  // Without an owner, anybody could subscribe a stream.
  subject: z.string('expected text').min(1, 'expected text'),
  expiresAt: z.number('expected ms since 1970').optional(),
});

/** Checks what the application says of a caller. @throws {HttpError} unauthorized without a subject, or with a malformed end. */
function requireCaller(given: Caller): void {
  const [issue] = caller.safeParse(given).error?.issues ?? [];
  if (issue) throw new HttpError('unauthorized', `The caller has no valid ${issue.path.join('.')}: ${issue.message}`);
}
