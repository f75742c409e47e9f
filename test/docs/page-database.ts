import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { packageRoot } from '../../src/package-root.js';
import { createTestDatabase } from '../test-database.js';

/** The tables that the pages speak of, beside those of Chinook. */
const TABLES = `
  create schema verein;
  create table verein.mitglied (id integer primary key, name text);
  create table mitglied (id integer primary key, name text);
  create table kunde (id integer primary key, name text);
  create table auswertung (id integer primary key, name text);
  insert into mitglied values (1, 'Ada');`;

/** A database with the feed and the tables of the pages, and a shell that finds the built command line. */
export interface PageDatabase {
  sql(text: string): Promise<void>;
  /** Runs a script with `set -e`. Throws with what it printed where it fails. */
  sh(script: string): Promise<void>;
  drop(): Promise<void>;
}

/** Makes the database of one page. */
export async function createPageDatabase(): Promise<PageDatabase> {
  const database = await createTestDatabase();
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query(await readFile(join(packageRoot, 'test/chinook/chinook.sql'), 'utf8'));
  await client.query(TABLES);
  const bin = await mkdtemp(join(tmpdir(), 'pages-'));
  const cli = join(packageRoot, 'dist/src/cli.js');
  await writeProgram(join(bin, 'pg-change-feed'), `exec '${process.execPath}' '${cli}' "$@"`);
  await writeProgram(join(bin, 'npx'), 'exec "$@"');
  return {
    sql: async (text) => {
      await client.query(text);
    },
    sh: async (script) => {
      await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script], {
        cwd: bin,
        env: { PATH: `${bin}:/usr/bin:/bin`, DATABASE_URL: database.url, JWT_SECRET: 'x'.repeat(32) },
      });
    },
    drop: async () => {
      await client.end();
      await database.drop();
      await rm(bin, { recursive: true });
    },
  };
}

async function writeProgram(path: string, line: string): Promise<void> {
  await writeFile(path, `#!/bin/sh\n${line}\n`);
  await chmod(path, 0o755);
}
