import express from 'express';
import session from 'express-session';
import pg from 'pg';
import { createChangeFeed } from 'pg-change-feed';
import { changeFeed } from 'pg-change-feed/express';

const { DATABASE_URL, SESSION_SECRET, PORT } = process.env;
const feed = createChangeFeed({ databaseUrl: DATABASE_URL });
await feed.start();
const pool = new pg.Pool({ connectionString: DATABASE_URL });

const app = express();
app.use(session({ secret: SESSION_SECRET, resave: false, saveUninitialized: false, cookie: { sameSite: 'lax' } }));
app.use(changeFeed(feed, { caller: ({ session }) => session.user }));
app.post('/login', express.json(), async ({ body, session }, response) => {
  // Your own check of a password: it finds a subject with its rights, or nothing.
  const { rows } = await pool.query('select subject, rights from login($1, $2)', [body.name, body.password]);
  if (!rows[0]) return response.sendStatus(401);
  session.regenerate(() => Object.assign(response.req.session, { user: rows[0] }) && response.sendStatus(204));
});
const server = app.listen(PORT);

process.once('SIGTERM', () => Promise.all([server.close(), feed.stop(), pool.end()]));
