import cors from '@koa/cors';
import type Router from '@koa/router';
import Koa from 'koa';
import type { Kysely } from 'kysely';
import { anmeldungRoutes } from '../api/anmeldung.js';
import type { ApiOptions } from '../api/resource-routes.js';
import { veranstaltungRoutes } from '../api/veranstaltung.js';
import type { Database } from '../database/tables.js';
import type { Logger } from '../logger.js';
import { authenticate } from './auth.js';
import { type Authorize, authorizeByClaims, callerOfClaims, failingClosed } from './authorize.js';
import { changeFeedRoutes } from './change-feed-routes.js';
import type { FeedWithStreams } from './create-change-feed.js';
import { demoRoutes } from './demo-routes.js';
import { errorResponses } from './errors.js';
import { healthRoutes } from './health.js';
import { jsonBody } from './json-body.js';
import { changeFeedMetrics } from './metrics.js';
import { metricsRoutes } from './metrics-routes.js';
import { requestLog } from './request-log.js';
import { requestRate } from './request-rate.js';
import { securityHeaders } from './security-headers.js';
import { webRoutes } from './web-routes.js';

/** What the application is made of. */
export interface AppOptions {
  readonly db: Kysely<Database>;
  readonly feed: FeedWithStreams;
  readonly logger: Logger;
  /** The HS256 key. Either this or `jwksUrl`. */
  readonly jwtSecret?: string | undefined;
  /** Where the public keys of an identity provider are. */
  readonly jwksUrl?: string | undefined;
  readonly jwtIssuer?: string | undefined;
  readonly jwtAudience?: string | undefined;
  readonly jwtToleranceS: number;
  readonly queryToken: boolean;
  readonly defaultResources: '*' | readonly string[];
  /** Whether the bearer of a token may use a resource. Default: by its claim `resources`, else by `defaultResources`. */
  readonly authorize?: Authorize | undefined;
  readonly corsOrigins: readonly string[];
  /** Makes tokens for the demo sign-in; there is none unless given. */
  readonly demoToken?: (() => Promise<string>) | undefined;
  /** Open streams in all. Default 20,000. */
  readonly maxStreams?: number | undefined;
  /** Open streams of one subject. Default 100. */
  readonly maxStreamsPerSubject?: number | undefined;
  /** Subscriptions of one stream. Default 100. */
  readonly maxSubscriptions?: number | undefined;
  /** Requests other than GET per second of one subject. Default 50. */
  readonly maxPostsPerS?: number | undefined;
  /** The longest body, in kB. Default 64. */
  readonly maxBodyKb?: number | undefined;
  /** Who sends it may read `/metrics`. Absent: there are none. */
  readonly metricsToken?: string | undefined;
}

/** The Koa application: health, the feed's routes, and REST for the two tables. */
export function createApp(options: AppOptions): Koa {
  const { db, feed, logger, jwtToleranceS, corsOrigins, maxPostsPerS = 50, maxBodyKb = 64 } = options;
  const authorize = options.authorize ?? authorizeByClaims(options.defaultResources);
  const app = new Koa();
  app.on('error', (error: unknown) => logger.error({ err: error }, 'a request failed after its response had begun'));
  app.use(requestLog(logger));
  app.use(securityHeaders());
  app.use(errorResponses(logger));
  if (corsOrigins.length > 0) app.use(crossOrigin(corsOrigins));
  mount(app, healthRoutes(feed.changes));
  mount(app, webRoutes());
  mount(app, demoRoutes(options.demoToken));
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
  app.use(under('/api', requestRate({ perSecond: maxPostsPerS, subjectOf: ({ state: { claims } }) => claims.sub })));
  app.use(jsonBody(maxBodyKb));
  mount(
    app,
    changeFeedRoutes(feed, {
      callerOf: ({ state: { claims } }) => callerOfClaims(claims, authorize, jwtToleranceS),
      limits: options,
    }),
  );
  const api: ApiOptions = {
    db,
    position: () => feed.currentPosition(),
    crowdAt: (resource) => feed.streams.crowds.stateOf(resource),
    onChange: (resource, listener) => {
      feed.changes.listen({
        onChanges: (changes) => {
          if (changes.some((change) => change.resource === resource)) listener();
        },
        onLost: listener,
      });
    },
    mayUse: ({ state: { claims } }, resource) => failingClosed((name) => authorize(claims, name), logger)(resource),
    actorOf: ({ state: { claims } }) => claims.sub,
  };
  mount(app, veranstaltungRoutes(api));
  mount(app, anmeldungRoutes(api));
  return app;
}

function mount(app: Koa, router: Router): void {
  app.use(router.routes());
  app.use(router.allowedMethods());
}

/** Runs a middleware for what lies under a path only, however that is spelled: no router may let more pass. */
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
