import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { ChangeFeed } from '../../src/feed/change-feed.js';
import { ChangeLog } from '../../src/feed/log/change-log.js';
import { packageRoot } from '../../src/package-root.js';
import { RefusingPostgres } from '../refusing-postgres.js';
import { createTestDatabase } from '../test-database.js';
import { until } from '../until.js';

test('a feed holds nine connections at the most, as the documents say', async () => {
  const database = await createTestDatabase();
  const door = await RefusingPostgres.before(database.url);
  const psql = new pg.Client({ connectionString: database.url });
  await psql.connect();
  const feed = new ChangeFeed({
    listenDatabaseUrl: database.url,
    notify: (channel, payload) => psql.query('select pg_notify($1, $2)', [channel, payload]),
    logger: pino({ level: 'silent' }),
  });
  await feed.start();
  await until(() => feed.leader.leading, 'the leader');
  const { rows } = await psql.query(`select count(*)::int as sessions from pg_stat_activity
    where datname = current_database() and application_name ~ '^pg-change-feed (?!log)'`);
  await feed.stop();

  const log = new ChangeLog(door.url, () => {});
  const since = await log.begin();
  await psql.query('begin; lock table change_feed.change');
  // All that can be asked of the log at once waits for the lock, or has a connection of its own all the same.
  const asked = Promise.allSettled([
    ...[1, 2, 3].map(() => log.read(since)),
    ...[1, 2, 3].map(() => log.replay(since)),
    ...[1, 2, 3].map(() => log.query('select from change_feed.change')),
    ...[1, 2, 3].map(() => log.loggedResources()),
  ]);
  await until(() => door.peak >= 7, 'seven connections');
  await psql.query('rollback');
  await asked;
  expect(rows[0].sessions + door.peak).toBe(9);
  await log.close();
  await door.close();
  await psql.end();
  await database.drop();

  const documents = await Promise.all(
    ['README.md', 'docs/server.md', 'docs/ops.md', 'src/http/create-change-feed.ts'].map((name) =>
      readFile(join(packageRoot, name), 'utf8'),
    ),
  );
  for (const text of documents) expect(text).not.toMatch(/up to (?!nine)\w+\s+(\*\s+)?(connections|sessions)/);
});
