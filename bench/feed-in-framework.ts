// The feed in the framework that the first argument names, as its example in examples/ mounts it.
import { createServer } from 'node:http';
import type { AddressInfo, Server } from 'node:net';
import { serve } from '@hono/node-server';
import express from 'express';
import Fastify from 'fastify';
import { Hono } from 'hono';
import Koa from 'koa';
import { changeFeed as expressFeed } from '../src/express/index.js';
import { changeFeed as fastifyFeed } from '../src/fastify/index.js';
import { changeFeed as honoFeed } from '../src/hono/index.js';
import { createChangeFeed, type FeedWithStreams } from '../src/index.js';
import { changeFeedRoutes } from '../src/koa/index.js';

const options = {
  caller: () => ({ subject: 'bench', rights: '*' as const }),
  // All readers are one subject.
  limits: { maxStreamsPerSubject: 20_000 },
};
const LISTEN = { port: 0, host: '127.0.0.1', backlog: 4096 };

const FRAMEWORKS: Readonly<Record<string, (feed: FeedWithStreams) => Promise<Server> | Server>> = {
  'node-http': (feed) => createServer(feed.handler(options)).listen(LISTEN),
  koa: (feed) => new Koa().use(changeFeedRoutes(feed, options).routes()).listen(LISTEN),
  express: (feed) => express().use(expressFeed(feed, options)).listen(0, LISTEN.host),
  fastify: async (feed) => {
    const app = Fastify();
    await app.register(fastifyFeed, { feed, ...options });
    await app.listen(LISTEN);
    return app.server;
  },
  hono: (feed) => served(new Hono().use(honoFeed(feed, options)).fetch),
  fetch: (feed) => served((request) => feed.respond(request)),
};

function served(fetch: (request: Request) => Response | Promise<Response>): Server {
  return serve({ fetch, port: 0, hostname: LISTEN.host }) as Server;
}

const [name = ''] = process.argv.slice(2);
const start = FRAMEWORKS[name];
if (!start) throw new Error(`There is no framework ${name}`);
const feed = createChangeFeed({ databaseUrl: process.env.DATABASE_URL ?? '', respond: options });
await feed.start();
const server = await start(feed);
process.once('SIGTERM', () => process.exit(0));
const say = () => console.log(`serving on ${(server.address() as AddressInfo).port}`);
if (server.listening) say();
else server.once('listening', say);
