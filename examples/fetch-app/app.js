import { serve } from '@hono/node-server';
import { jwtVerify } from 'jose';
import { callerOfClaims, createChangeFeed, HttpError } from 'pg-change-feed';

const { DATABASE_URL, JWT_SECRET, PORT } = process.env;
const key = new TextEncoder().encode(JWT_SECRET);

async function caller(request) {
  const token = /^Bearer (.+)$/i.exec(request.headers.get('Authorization') ?? '')?.[1] ?? '';
  const verified = await jwtVerify(token, key, { algorithms: ['HS256'] }).catch(() => null);
  if (!verified) throw new HttpError('unauthorized', 'The token is not valid', { 'WWW-Authenticate': 'Bearer' });
  return callerOfClaims(verified.payload);
}

const feed = createChangeFeed({ databaseUrl: DATABASE_URL, respond: { caller } });
await feed.start();
// In Bun: Bun.serve({ fetch: feed.respond }). In Deno: Deno.serve(feed.respond). In Next: export const GET = feed.respond
const server = serve({ fetch: (request) => feed.respond(request), port: PORT });

process.once('SIGTERM', () => Promise.all([server.close(), feed.stop()]));
