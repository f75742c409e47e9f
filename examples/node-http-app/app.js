import { createServer } from 'node:http';
import pg from 'pg';
import { createChangeFeed } from 'pg-change-feed';

const { DATABASE_URL, PORT } = process.env;
const feed = createChangeFeed({ databaseUrl: DATABASE_URL });
await feed.start();
const pool = new pg.Pool({ connectionString: DATABASE_URL });

// The table has a hash of each key: create table api_key (hash bytea primary key, subject text, rights text[])
const find = `select subject, rights from api_key where hash = sha256(convert_to($1, 'UTF8'))`;
const handle = feed.handler({
  caller: async ({ headers }) => (await pool.query(find, [headers['x-api-key'] ?? ''])).rows[0],
  reauthorizeS: 60,
});
const server = createServer(async (request, response) => {
  if (!(await handle(request, response))) response.writeHead(404).end();
}).listen(PORT);

process.once('SIGTERM', () => Promise.all([server.close(), feed.stop(), pool.end()]));
