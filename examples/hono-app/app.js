import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { jwt } from 'hono/jwt';
import { callerOfClaims, createChangeFeed } from 'pg-change-feed';
import { changeFeed } from 'pg-change-feed/hono';

const { DATABASE_URL, JWT_SECRET, PORT } = process.env;
const feed = createChangeFeed({ databaseUrl: DATABASE_URL });
await feed.start();

const app = new Hono();
app.use(jwt({ secret: JWT_SECRET, alg: 'HS256' }));
app.use(changeFeed(feed, { caller: (c) => callerOfClaims(c.get('jwtPayload')) }));
const server = serve({ fetch: app.fetch, port: PORT });

process.once('SIGTERM', () => Promise.all([server.close(), feed.stop()]));
