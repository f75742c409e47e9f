// JavaScript on the compiled files: jest loads a global set-up outside of its module map, where `.js` is no `.ts`.
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { createDatabase } from '../dist/src/app/database.js';
import { migrateApplication } from '../dist/src/app/migrate.js';
import { startEmbeddedPostgres } from '../dist/src/embedded/embedded-postgres.js';
import { makeMemoryFolder } from './memory-folder.js';

const TEMPLATE = 'pg_change_feed_template';

/**
 * Gives the tests a Postgres: the embedded one on a free port, or the one that TEST_DATABASE_URL names (as a superuser,
 * for the tests make databases and roles), and on it a template database made by the real migrations.
 */
export default async function setUp() {
  const memory = await makeMemoryFolder();
  if (memory) {
    process.env.TMPDIR = memory;
    globalThis.removeTestFolder = () => rm(memory, { recursive: true, force: true });
  }
  let serverUrl = process.env.TEST_DATABASE_URL;
  if (!serverUrl) {
    const dataDir = await mkdtemp(join(tmpdir(), 'pg-change-feed-test-'));
    await chmod(dataDir, 0o711); // for root, whose Postgres runs as another user
    const settings = { fsync: 'off', max_connections: '200' };
    const postgres = await startEmbeddedPostgres({ dataDir, port: 0, settings });
    serverUrl = postgres.url;
    globalThis.stopTestPostgres = async () => {
      await postgres.stop();
      await rm(dataDir, { recursive: true, force: true });
    };
  }
  await makeTemplate(serverUrl);
  // Every test file runs in a process of its own, and reads these.
  process.env.TEST_SERVER_URL = serverUrl;
  process.env.TEST_TEMPLATE = TEMPLATE;
}

async function makeTemplate(serverUrl) {
  const client = new pg.Client({ connectionString: serverUrl });
  await client.connect();
  try {
    await client.query(`drop database if exists ${TEMPLATE} with (force)`);
    await client.query(`create database ${TEMPLATE}`);
    const { rows } = await client.query(`select current_setting('server_version_num')::int >= 150000 as says_how`);
    process.env.TEST_DATABASE_OPTIONS = rows[0].says_how ? 'strategy file_copy' : '';
  } finally {
    await client.end();
  }
  const url = new URL(serverUrl);
  url.pathname = `/${TEMPLATE}`;
  const db = createDatabase(url.href);
  try {
    await migrateApplication(db);
  } finally {
    await db.destroy();
  }
}
