import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import pg from 'pg';
import { createDatabase } from '../../src/app/database.js';
import { migrateChangeFeed } from '../../src/database/migrate.js';
import { startEmbeddedPostgres } from '../../src/embedded/embedded-postgres.js';
import { readInstanceFile } from '../../src/embedded/holder.js';
import { ChangeLog } from '../../src/feed/log/change-log.js';

test('after a crash that reuses transaction ids an old position is lost, and does not skip what is written under them', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'crash-'));
  await chmod(dataDir, 0o711);
  // So that ids are used whose WAL is not flushed
  const settings = { wal_writer_delay: '10s', synchronous_commit: 'off', autovacuum: 'off' };
  let postgres = await startEmbeddedPostgres({ dataDir, port: 0, settings });
  const db = createDatabase(postgres.url);
  await migrateChangeFeed(db);
  await db.destroy();
  const connect = async () => {
    const client = new pg.Client({ connectionString: postgres.url });
    client.on('error', () => {});
    await client.connect();
    return client;
  };

  let log = new ChangeLog(postgres.url, () => {});
  let psql = await connect();
  await log.begin();
  await psql.query('set synchronous_commit = on');
  await psql.query(`select change_feed.emit('vorher')`); // flushes all that came before
  await psql.query('set synchronous_commit = off');
  for (let i = 0; i < 50; i += 1) await psql.query('begin; select pg_current_xact_id(); rollback');
  const before = await log.position();
  process.kill((await readInstanceFile(dataDir))?.postgresPid ?? 0, 'SIGQUIT');
  await postgres.stop();
  await log.close();

  postgres = await startEmbeddedPostgres({ dataDir, port: 0, settings });
  log = new ChangeLog(postgres.url, () => {});
  psql = await connect();
  const { rows } = await psql.query(`select change_feed.emit('nachher'), pg_current_xact_id()::text as xid`);
  // The premise: this change has an id that the position counts as seen.
  expect(BigInt(rows[0].xid)).toBeLessThan(before.xmax);
  // Until as many have ended again it would be lost for being of the future; then only the epoch tells.
  for (let i = 0; i < 60; i += 1) await psql.query('begin; select pg_current_xact_id(); rollback');
  const now = await log.position();
  expect(now.xmax).toBeGreaterThan(before.xmax);
  expect((await log.read(before)).lost).toBe(true);

  await psql.end();
  await log.close();
  await postgres.stop();
  await rm(dataDir, { recursive: true, force: true });
});
