import Koa from 'koa';
import jwt from 'koa-jwt';
import { callerOfClaims, createChangeFeed } from 'pg-change-feed';
import { changeFeedRoutes } from 'pg-change-feed/koa';

const { DATABASE_URL, JWT_SECRET, PORT } = process.env;
const feed = createChangeFeed({ databaseUrl: DATABASE_URL });
await feed.start();

const app = new Koa();
app.use(jwt({ secret: JWT_SECRET, algorithms: ['HS256'] }));
app.use(changeFeedRoutes(feed, { caller: ({ state }) => callerOfClaims(state.user) }).routes());
const server = app.listen(PORT);

process.once('SIGTERM', () => Promise.all([server.close(), feed.stop()]));
