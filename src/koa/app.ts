import cors from '@koa/cors';
import type Router from '@koa/router';
import Koa, { type Context } from 'koa';
import { type Authorize, failingClosed, rightsOfClaims } from '../http/authorize.js';
import { callerOfClaims } from '../http/caller.js';
import type { Claims } from '../http/claims.js';
import type { FeedWithStreams } from '../http/create-change-feed.js';
import { changeFeedMetrics } from '../http/metrics.js';
import { parametersOf } from '../http/parameters.js';
import { RequestRate } from '../http/request-rate.js';
import { RunningRequests } from '../http/running-requests.js';
import type { Logger } from '../logger.js';
import type { Scope } from '../scope.js';
import { authorizeByRights } from '../streams/rights.js';
import { authenticate } from './auth.js';
import { changeFeedRoutes } from './change-feed-routes.js';
import { errorResponses } from './errors.js';
import { healthRoutes } from './health-routes.js';
import { jsonBody } from './json-body.js';
import { metricsRoutes } from './metrics-routes.js';
import { requestLog } from './request-log.js';
import { securityHeaders } from './security-headers.js';

/** The server's parts that routes of an application can use. */
export interface ServedApplication {
  readonly feed: FeedWithStreams;
  /**
   * Returns whether the token of a request allows a resource, or with `scope` a part of it. Only for routes behind
   * authentication.
   */
  readonly authorize: (ctx: Context, resource: string, scope?: Scope) => boolean;
  /** Returns the `sub` of a request's token. Only for routes behind authentication. */
  readonly subjectOf: (ctx: Context) => string;
}

/** Routes of an application, served beside those of the feed. */
export interface ApplicationRoutes {
  /** Routes that need no token: pages, a sign-in. */
  readonly open?: readonly Router[];
  /** Routes under `/api`, behind authentication, the limit of requests per second, and the reading of JSON bodies. */
  readonly authenticated?: readonly Router[];
}

/** Options of the server's Koa application. */
export interface AppOptions {
  readonly feed: FeedWithStreams;
  /** Makes an application's own routes. Default: none, so that all but the feed's paths are 404. */
  readonly routes?: ((served: ServedApplication) => ApplicationRoutes) | undefined;
  readonly logger: Logger;
  /** The HS256 key. Either this or `jwksUrl`. */
  readonly jwtSecret?: string | undefined;
  /** The URL of an identity provider's public keys. */
  readonly jwksUrl?: string | undefined;
  readonly jwtIssuer?: string | undefined;
  readonly jwtAudience?: string | undefined;
  readonly jwtToleranceS: number;
  readonly queryToken: boolean;
  readonly defaultResources: '*' | readonly string[];
  /** Decides whether a token allows a resource. Default: by its claim `resources`, else by `defaultResources`. */
  readonly authorize?: Authorize | undefined;
  readonly corsOrigins: readonly string[];
  /** The largest number of open streams. Default 20,000. */
  readonly maxStreams?: number | undefined;
  /** The largest number of open streams of one subject. Default 100. */
  readonly maxStreamsPerSubject?: number | undefined;
  /** The largest number of subscriptions of one stream. Default 100. */
  readonly maxSubscriptions?: number | undefined;
  /** Requests other than GET per second of one subject. Default 50. */
  readonly maxPostsPerS?: number | undefined;
  /** Requests of one subject that run at once; twenty times as many may wait. Default 20. */
  readonly maxRequestsPerSubject?: number | undefined;
  /** The longest body, in kB. Default 64. */
  readonly maxBodyKb?: number | undefined;
  /** The token that allows to read `/metrics`. Absent: there is no such page. */
  readonly metricsToken?: string | undefined;
}

/** Makes the Koa application: health, metrics, the feed's routes, and those of an application, if one is given. */
export function createApp(options: AppOptions): Koa {
  const { feed, logger, jwtToleranceS, corsOrigins, maxPostsPerS = 50, maxBodyKb = 64 } = options;
  const app = new Koa();
  const rightsOf = (claims: Claims) =>
    failingClosed(rightsOfClaims(claims, options.defaultResources, options.authorize), logger);
  // For the routes of an application, too
  Object.defineProperty(app.request, 'query', {
    get(this: Koa.Request) {
      return parametersOf(this.querystring);
    },
  });
  app.on('error', (error: unknown) => logger.error({ err: error }, 'a request failed after its response had begun'));
  app.use(requestLog(logger));
  app.use(securityHeaders());
  app.use(errorResponses(logger));
  if (corsOrigins.length > 0) app.use(crossOrigin(corsOrigins));
  mount(app, healthRoutes(feed.changes));
  const { open = [], authenticated = [] } =
    options.routes?.({
      feed,
      authorize: ({ state: { claims } }, resource, scope) => authorizeByRights(rightsOf(claims), resource, scope),
      subjectOf: ({ state: { claims } }) => claims.sub,
    }) ?? {};
  for (const router of open) mount(app, router);
  if (options.metricsToken) mount(app, metricsRoutes(changeFeedMetrics(feed), options.metricsToken));

  app.use(
    under(
      '/api',
      authenticate({
        secret: options.jwtSecret,
        jwksUrl: options.jwksUrl,
        issuer: options.jwtIssuer,
        audience: options.jwtAudience,
        toleranceS: jwtToleranceS,
        queryToken: options.queryToken,
        logger,
      }),
    ),
  );
  const rate = new RequestRate({ perSecond: maxPostsPerS });
  const running = new RunningRequests({ max: options.maxRequestsPerSubject ?? 20 });
  app.use(
    under('/api', async (ctx, next) => {
      const subject = ctx.state.claims.sub;
      rate.take(ctx.method, subject);
      // A poll waits, and counts as a stream instead.
      if (ctx.path === '/api/events/poll' || (await running.start(subject, ctx.res))) await next();
    }),
  );
  app.use(jsonBody(maxBodyKb));
  mount(
    app,
    changeFeedRoutes(feed, {
      caller: ({ state: { claims } }) => callerOfClaims(claims, { ...options, toleranceS: jwtToleranceS }),
      allowedOrigins: corsOrigins,
      // POST requests are counted above, with those of the application.
      limits: { ...options, maxPostsPerS: Number.POSITIVE_INFINITY },
    }),
  );
  for (const router of authenticated) mount(app, router);
  return app;
}

function mount(app: Koa, router: Router): void {
  app.use(router.routes());
  app.use(router.allowedMethods());
}

/** Runs a middleware for all that is under a path, in any spelling: no router may let more pass. */
function under(path: string, middleware: Koa.Middleware): Koa.Middleware {
  return (ctx, next) => (`${ctx.path.toLowerCase()}/`.startsWith(`${path}/`) ? middleware(ctx, next) : next());
}

function crossOrigin(origins: readonly string[]): Koa.Middleware {
  return cors({
    origin: (ctx) => {
      const origin = ctx.get('Origin');
      return origins.includes(origin) ? origin : '';
    },
    exposeHeaders: ['Change-Feed-Position', 'ETag', 'Location', 'Retry-After'],
    maxAge: 600,
  });
}
