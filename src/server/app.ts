import cors from '@koa/cors';
import type Router from '@koa/router';
import Koa from 'koa';
import type { Kysely } from 'kysely';
import { anmeldungRoutes } from '../api/anmeldung.js';
import type { ApiOptions } from '../api/resource-routes.js';
import { veranstaltungRoutes } from '../api/veranstaltung.js';
import type { Database } from '../database/tables.js';
import type { Logger } from '../logger.js';
import { allows, authenticate } from './auth.js';
import { changeFeedRoutes } from './change-feed-routes.js';
import type { FeedWithStreams } from './create-change-feed.js';
import { demoRoutes } from './demo-routes.js';
import { errorResponses } from './errors.js';
import { healthRoutes } from './health.js';
import { jsonBody } from './json-body.js';
import { requestLog } from './request-log.js';
import { webRoutes } from './web-routes.js';

/** What the application is made of. */
export interface AppOptions {
  readonly db: Kysely<Database>;
  readonly feed: FeedWithStreams;
  readonly logger: Logger;
  readonly jwtSecret: string;
  readonly jwtIssuer?: string | undefined;
  readonly jwtAudience?: string | undefined;
  readonly jwtToleranceS: number;
  readonly queryToken: boolean;
  readonly defaultResources: '*' | readonly string[];
  readonly corsOrigins: readonly string[];
  /** Makes tokens for the demo sign-in; there is none unless given. */
  readonly demoToken?: (() => Promise<string>) | undefined;
}

/** The Koa application: health, the feed's routes, and REST for the two tables. */
export function createApp(options: AppOptions): Koa {
  const { db, feed, logger, defaultResources, jwtToleranceS, corsOrigins } = options;
  const app = new Koa();
  app.on('error', (error: unknown) => logger.error({ err: error }, 'a request failed after its response had begun'));
  app.use(requestLog(logger));
  app.use(errorResponses(logger));
  if (corsOrigins.length > 0) app.use(crossOrigin(corsOrigins));
  mount(app, healthRoutes(feed.changes));
  mount(app, webRoutes());
  if (options.demoToken) mount(app, demoRoutes(options.demoToken));

  app.use(
    under(
      '/api',
      authenticate({
        secret: options.jwtSecret,
        issuer: options.jwtIssuer,
        audience: options.jwtAudience,
        toleranceS: jwtToleranceS,
        queryToken: options.queryToken,
      }),
    ),
  );
  app.use(jsonBody());
  mount(
    app,
    changeFeedRoutes(feed, {
      callerOf: ({ state: { claims } }) => ({
        subject: claims.sub,
        mayRead: (resource) => allows(claims, resource, defaultResources),
        // The same instant at which a new request with this token is refused.
        ...(claims.exp !== undefined && { expiresAt: (claims.exp + jwtToleranceS) * 1000 }),
      }),
    }),
  );
  const api: ApiOptions = {
    db,
    position: () => feed.currentPosition(),
    mayUse: ({ state: { claims } }, resource) => allows(claims, resource, defaultResources),
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

/** Runs a middleware for what lies under a path only. */
function under(path: string, middleware: Koa.Middleware): Koa.Middleware {
  return (ctx, next) => (ctx.path === path || ctx.path.startsWith(`${path}/`) ? middleware(ctx, next) : next());
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
