import { createServer, type Server } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo, Server as NetServer } from 'node:net';
import { serve } from '@hono/node-server';
import express from 'express';
import Fastify from 'fastify';
import { Hono } from 'hono';
import Koa from 'koa';
import { changeFeed as expressFeed } from '../../src/express/index.js';
import { changeFeed as fastifyFeed } from '../../src/fastify/index.js';
import { changeFeed as honoFeed } from '../../src/hono/index.js';
import type { Caller } from '../../src/http/caller.js';
import {
  type CreateChangeFeedOptions,
  createChangeFeed,
  type FeedWithStreams,
} from '../../src/http/create-change-feed.js';
import type { EndpointOptions } from '../../src/http/endpoint.js';
import { changeFeedRoutes } from '../../src/koa/index.js';

/** A feed in a server of some framework. */
export interface FrameworkServer {
  readonly url: string;
  readonly feed: FeedWithStreams;
  /** Stops as an application would: no more connections, and the feed. Resolves when all connections have ended. */
  stop(): Promise<void>;
}

/** Finds the caller by the header of a request. */
export type FindByHeader = (header: (name: string) => string | undefined) => Caller | undefined | Promise<Caller>;

/** Options of the servers: those of the feed, and those of its routes with a caller that knows no framework. */
export interface FrameworkServerOptions extends CreateChangeFeedOptions, Omit<EndpointOptions<never>, 'caller'> {
  readonly find: FindByHeader;
}

/** The header that each application sets before the feed, and that has to arrive. */
export const HOST_HEADER = ['x-host', 'of the application'] as const;

/** Starts a feed in a server. Each also answers `GET /other`, and sets {@link HOST_HEADER}. */
export const SERVERS: Readonly<Record<string, (options: FrameworkServerOptions) => Promise<FrameworkServer>>> = {
  'node:http': async ({ find, ...options }) => {
    const feed = await started(options);
    const handle = feed.handler({ ...options, caller: (request) => find((name) => textOf(request.headers[name])) });
    const http = createServer(async (request, response) => {
      response.setHeader(...HOST_HEADER);
      if (await handle(request, response)) return;
      response.statusCode = request.url === '/other' ? 200 : 404;
      response.end('other');
    });
    return onServer(feed, http);
  },
  Koa: async ({ find, ...options }) => {
    const feed = await started(options);
    const app = new Koa();
    app.use((ctx, next) => {
      ctx.set(...HOST_HEADER);
      return next();
    });
    app.use(changeFeedRoutes(feed, { ...options, caller: (ctx) => find((name) => ctx.get(name)) }).routes());
    app.use((ctx) => {
      if (ctx.path === '/other') ctx.body = 'other';
    });
    return onServer(feed, createServer(app.callback()));
  },
  Express: async ({ find, ...options }) => {
    const feed = await started(options);
    const app = express();
    app.use(express.json());
    app.use((_request, response, next) => {
      response.set(...HOST_HEADER);
      next();
    });
    app.use(expressFeed(feed, { ...options, caller: (request) => find((name) => request.get(name)) }));
    app.get('/other', (_request, response) => void response.send('other'));
    return onServer(feed, createServer(app));
  },
  Fastify: async ({ find, ...options }) => {
    const feed = await started(options);
    // Its default keeps the test's idle connections for 72 s.
    const app = Fastify({ forceCloseConnections: false, keepAliveTimeout: 1000 });
    app.addHook('onRequest', async (_request, reply) => {
      reply.header(...HOST_HEADER);
    });
    await app.register(fastifyFeed, {
      ...options,
      feed,
      caller: (request) => find((name) => textOf(request.headers[name])),
    });
    app.get('/other', async () => 'other');
    const url = await app.listen({ port: 0, host: '127.0.0.1' });
    return { url, feed, stop: async () => void (await Promise.all([app.close(), feed.stop()])) };
  },
  'Hono on Node': async ({ find, ...options }) => {
    const feed = await started(options);
    return onServer(
      feed,
      serve({ fetch: honoApp(feed, options, find).fetch, port: 0, hostname: '127.0.0.1' }) as Server,
    );
  },
  'Hono on fetch alone': async ({ find, ...options }) => {
    const feed = await started(options);
    const app = honoApp(feed, options, find);
    return onServer(feed, serve({ fetch: (request) => app.fetch(request), port: 0, hostname: '127.0.0.1' }) as Server);
  },
  'feed.respond()': async ({ find, ...options }) => {
    const respond = {
      ...options,
      caller: (request: Request) => find((name) => request.headers.get(name) ?? undefined),
    };
    const feed = await started({ ...options, respond });
    const answer = async (request: Request) => {
      const response = new URL(request.url).pathname === '/other' ? new Response('other') : await feed.respond(request);
      response.headers.set(...HOST_HEADER);
      return response;
    };
    return onServer(feed, serve({ fetch: answer, port: 0, hostname: '127.0.0.1' }) as Server);
  },
};

/** Starts a feed in a server of HTTP/2 without TLS. */
export async function startHttp2({ find, ...options }: FrameworkServerOptions): Promise<FrameworkServer> {
  const feed = await started(options);
  const handle = feed.handler({ ...options, caller: (request) => find((name) => textOf(request.headers[name])) });
  return onServer(
    feed,
    createHttp2Server(async (request, response) => {
      response.setHeader(...HOST_HEADER);
      if (!(await handle(request as never, response))) response.end('other');
    }),
  );
}

function honoApp(feed: FeedWithStreams, options: object, find: FindByHeader): Hono {
  const app = new Hono();
  app.use(async (c, next) => {
    c.header(...HOST_HEADER);
    await next();
  });
  app.use(honoFeed(feed, { ...options, caller: (c) => find((name) => c.req.header(name)) }));
  app.get('/other', (c) => c.text('other'));
  return app;
}

async function started(options: CreateChangeFeedOptions): Promise<FeedWithStreams> {
  const feed = createChangeFeed(options);
  await feed.start();
  return feed;
}

async function onServer(feed: FeedWithStreams, http: NetServer): Promise<FrameworkServer> {
  if (!http.listening) await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    feed,
    stop: async () => {
      const closed = new Promise<void>((resolve) => http.close(() => resolve()));
      (http as Server).closeIdleConnections?.();
      await Promise.all([closed, feed.stop()]);
    },
  };
}

function textOf(header: string | string[] | undefined): string | undefined {
  return [header ?? []].flat().at(-1);
}
