import jwt from '@fastify/jwt';
import Fastify from 'fastify';
import { callerOfClaims, createChangeFeed } from 'pg-change-feed';
import { changeFeed } from 'pg-change-feed/fastify';

const { DATABASE_URL, JWT_SECRET, PORT } = process.env;
const feed = createChangeFeed({ databaseUrl: DATABASE_URL });
await feed.start();

const app = Fastify();
await app.register(jwt, { secret: JWT_SECRET, verify: { algorithms: ['HS256'] } });
await app.register(changeFeed, { feed, caller: async (request) => callerOfClaims(await request.jwtVerify()) });
await app.listen({ port: PORT });

process.once('SIGTERM', () => Promise.all([app.close(), feed.stop()]));
