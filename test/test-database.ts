import { randomBytes } from 'node:crypto';
import pg from 'pg';

/** A database of a test's own. */
export interface TestDatabase {
  readonly url: string;
  /** Drops it, and ends whoever is still connected. */
  drop(): Promise<void>;
}

/** Clones the migrated template, or another one: a few dozen ms, against a second for migrating anew. */
export async function createTestDatabase(template = setting('TEST_TEMPLATE')): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await createRawDatabase(name, `template ${template}`);
  return { url: databaseUrl(name), drop: () => runAsAdmin(`drop database ${name} with (force)`) };
}

/**
 * Makes a database. Its files are copied: the default, WAL_LOG, takes twice the CPU, and leaves dirty pages that the
 * checkpoint of the next DROP DATABASE writes.
 */
export async function createRawDatabase(name: string, options = ''): Promise<void> {
  await runAsAdmin(`create database ${name} ${process.env.TEST_DATABASE_OPTIONS} ${options}`);
}

/** The address of another database of the tests' server. */
export function databaseUrl(name: string): string {
  const url = new URL(setting('TEST_SERVER_URL'));
  url.pathname = `/${name}`;
  return url.href;
}

/** Runs a statement as a superuser, outside the tests' databases. */
export async function runAsAdmin(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: setting('TEST_SERVER_URL') });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

function setting(name: 'TEST_SERVER_URL' | 'TEST_TEMPLATE'): string {
  const value = process.env[name];
  if (!value) throw new Error('test/global-setup.js has not run');
  return value;
}
