import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { packageRoot } from '../../src/package-root.js';
import { sqlFiles, sqlText } from '../database/sql-statements.js';
import { createOwnedDatabase, type OwnedDatabase } from '../owned-database.js';
import { runProgram } from '../run-program.js';

let database: OwnedDatabase;

beforeEach(async () => {
  database = await createOwnedDatabase('node_pg_migrate');
});
afterEach(() => database.drop());

/** Runs its command line in the folder of the database. @throws with what it printed where it fails. */
async function migrate(...args: string[]): Promise<string> {
  const bin = join(packageRoot, 'node_modules/node-pg-migrate/bin/node-pg-migrate.js');
  const { status, stdout, stderr } = await runProgram(process.execPath, [bin, '-m', '.', ...args], {
    cwd: database.folder,
    env: { PATH: process.env.PATH, DATABASE_URL: database.url },
  });
  if (status !== 0) throw new Error(stdout + stderr);
  return stdout;
}

const write = (name: string, text: string) => writeFile(join(database.folder, name), text);

/** The module that a migration imports: the build, for the migrations are run by another process. */
const PACKAGE = JSON.stringify(join(packageRoot, 'dist/src/index.js'));

const KUNDE = `import { unwatchSql, watchSql } from ${PACKAGE};
  export const up = (pgm) => {
    pgm.createTable('kunde', { id: { type: 'int', primaryKey: true } });
    pgm.sql(watchSql('kunde'));
    pgm.sql("select set_config('change_feed.actor', 'seed', true), set_config('change_feed.client', 'a-page', true)");
    pgm.sql('insert into kunde values (7)');
  };
  export const down = (pgm) => {
    pgm.sql(unwatchSql('kunde'));
    pgm.dropTable('kunde');
  };`;

test.each([
  [
    'SQL as text',
    `import { changeFeedSql, removeChangeFeedSql } from ${PACKAGE};
      export const up = (pgm) => pgm.sql(changeFeedSql());
      export const down = (pgm) => pgm.sql(removeChangeFeedSql());`,
  ],
  [
    'functions',
    `import { installChangeFeed, removeChangeFeed } from ${PACKAGE};
      export const up = (pgm) => installChangeFeed(pgm.db);
      export const down = (pgm) => removeChangeFeed(pgm.db);`,
  ],
])('migrates up and down, with %s, each migration in a transaction or all in one', async (_what, feed) => {
  await write('1700000000001_feed.mjs', feed);
  await write('1700000000002_kunde.mjs', KUNDE);
  for (const transaction of ['--single-transaction', '--no-single-transaction']) {
    await migrate('up', transaction);
    expect(await database.changes()).toEqual([['kunde', 'insert', '[7]', expect.any(String), 'a-page', 'seed']]);
    await migrate('down', '2', transaction);
    expect(await database.isInstalled()).toBe(false);
  }
});

test('applies the files as a migration in SQL', async () => {
  await write('1700000000001_feed.sql', sqlFiles.map(sqlText).join('\n'));
  await write('1700000000002_kunde.sql', `create table kunde (id int primary key); select change_feed.watch('kunde');`);
  await migrate('up');
  await database.psql.query('insert into kunde values (7)');
  expect(await database.changes()).toEqual([['kunde', 'insert', '[7]', 'psql', '', '']]);
});
