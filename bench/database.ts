import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { createDatabase } from '../src/app/database.js';
import { migrateApplication } from '../src/app/migrate.js';
import { startEmbeddedPostgres } from '../src/embedded/embedded-postgres.js';

/** A Postgres for the benchmarks. */
export interface BenchPostgres {
  /** What it says of itself, with the settings that count. */
  readonly version: string;
  /** A migrated database of a bench's own. */
  createDatabase(): Promise<BenchDatabase>;
  stop(): Promise<void>;
}

/** A migrated database, and a session on it. */
export interface BenchDatabase {
  readonly url: string;
  readonly session: pg.Client;
  drop(): Promise<void>;
}

/** The server that BENCH_DATABASE_URL names (as a superuser), else an embedded one; with fsync either way. */
export async function openPostgres(): Promise<BenchPostgres> {
  const given = process.env.BENCH_DATABASE_URL;
  if (given) return { ...(await describe(given)), stop: async () => {} };
  const dataDir = await mkdtemp(join(tmpdir(), 'bench-postgres-'));
  const postgres = await startEmbeddedPostgres({ dataDir, port: 0, settings: { max_connections: '300' } });
  return {
    ...(await describe(postgres.url)),
    stop: async () => {
      await postgres.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

async function describe(url: string): Promise<Omit<BenchPostgres, 'stop'>> {
  const admin = await connect(url);
  const { rows } = await admin.query(
    `select 'PostgreSQL ' || current_setting('server_version') || ', fsync ' || current_setting('fsync')
      || ', synchronous_commit ' || current_setting('synchronous_commit') as version`,
  );
  await admin.end();
  let made = 0;
  return {
    version: rows[0].version,
    createDatabase: async () => {
      made += 1;
      return createMigrated(url, `bench_${process.pid}_${made}`);
    },
  };
}

async function createMigrated(serverUrl: string, name: string): Promise<BenchDatabase> {
  const admin = await connect(serverUrl);
  await admin.query(`create database ${name}`);
  const own = new URL(serverUrl);
  own.pathname = `/${name}`;
  const db = createDatabase(own.href);
  await migrateApplication(db);
  await db.destroy();
  const session = await connect(own.href);
  return {
    url: own.href,
    session,
    drop: async () => {
      await session.end();
      await admin.query(`drop database ${name} with (force)`);
      await admin.end();
    },
  };
}

/** A session that calls itself `bench`. */
export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'bench' });
  client.on('error', () => {}); // dropping the database ends it
  await client.connect();
  return client;
}
