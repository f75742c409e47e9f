import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { removeChangeFeedSql } from '../../src/database/sql-text.js';
import { packageRoot } from '../../src/package-root.js';
import { sqlFiles, sqlText } from '../database/sql-statements.js';
import { createOwnedDatabase, type OwnedDatabase } from '../owned-database.js';
import { runProgram } from '../run-program.js';

// Tools that take files of SQL.

let database: OwnedDatabase;

beforeEach(async () => {
  database = await createOwnedDatabase('sql_runner');
});
afterEach(() => database.drop());

const KUNDE = `create table kunde (id int primary key);\nselect change_feed.watch('kunde');\n`;

test('psql applies each file alone, and says who writes', async () => {
  if (spawnSync('psql', ['--version']).status !== 0) return console.warn('Skipped: there is no psql');
  const psql = async (...args: string[]) => {
    const { status, stderr } = await runProgram('psql', ['-qv', 'ON_ERROR_STOP=1', ...args, database.url]);
    if (status !== 0) throw new Error(stderr);
  };
  for (const file of sqlFiles) await psql('-1f', join(packageRoot, 'sql', file));
  await psql('-c', KUNDE);
  await psql(
    '-c',
    `begin; set local change_feed.actor = 'ada'; set local change_feed.client = 'a-page'; insert into kunde values (7); commit`,
  );
  expect(await database.changes()).toEqual([['kunde', 'insert', '[7]', 'psql', 'a-page', 'ada']]);
  await psql('-1c', removeChangeFeedSql());
  expect(await database.isInstalled()).toBe(false);
});

/** The history of an application with Prisma, as docs/migrations.md says to write it. */
const PRISMA = [
  `drop schema if exists change_feed cascade;\n${sqlFiles.map(sqlText).join('\n')}`,
  KUNDE,
  'alter table kunde add column name text;',
];

/** Resets a database and applies a history as Prisma does: it drops the schemas it manages, and sends each file as one query. */
async function resetAsPrisma(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query('drop schema public cascade');
    await client.query('create schema public');
    for (const migration of PRISMA) await client.query(migration);
  } finally {
    await client.end();
  }
}

test('a shadow database that Prisma resets twice gets the feed anew each time', async () => {
  for (const id of [7, 8]) {
    await resetAsPrisma(database.url);
    await database.psql.query(`insert into kunde values (${id})`);
    expect(await database.changes()).toEqual([['kunde', 'insert', `[${id}]`, 'psql', '', '']]);
  }
  expect((await database.psql.query('select relation::text from change_feed.watched_table')).rows).toEqual([
    { relation: 'kunde' },
  ]);
});
