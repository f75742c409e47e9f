import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'drizzle-orm';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import pg from 'pg';
import { changeFeedSql, watchSql } from '../../src/database/sql-text.js';
import { packageRoot } from '../../src/package-root.js';
import { createOwnedDatabase, type OwnedDatabase } from '../owned-database.js';
import { runProgram } from '../run-program.js';

let database: OwnedDatabase;
let pool: pg.Pool;
let db: NodePgDatabase;

beforeAll(async () => {
  database = await createOwnedDatabase('drizzle');
  pool = new pg.Pool({ connectionString: database.url, application_name: 'drizzle' });
  db = drizzle(pool);
  await mkdir(join(database.folder, 'drizzle'));
  await writeFile(
    join(database.folder, 'drizzle.config.ts'),
    `export default { dialect: 'postgresql', schema: './schema.ts', out: './drizzle', dbCredentials: { url: process.env.DATABASE_URL } };`,
  );
  await schema('id: integer().primaryKey()');
});

afterAll(async () => {
  await pool.end();
  await database.drop();
});

/** Writes the application's schema, whose only table has these columns. */
function schema(columns: string): Promise<void> {
  // By its whole path, for the folder has no node_modules
  const orm = JSON.stringify(join(packageRoot, 'node_modules/drizzle-orm/pg-core/index.cjs'));
  return writeFile(
    join(database.folder, 'schema.ts'),
    `import { integer, pgTable, text } from ${orm};\nexport const kunde = pgTable('kunde', { ${columns} });\n`,
  );
}

/** Runs drizzle-kit in the folder of the database. @throws with what it printed where it fails. */
async function kit(...args: string[]): Promise<string> {
  const bin = join(packageRoot, 'node_modules/drizzle-kit/bin.cjs');
  const { status, stdout, stderr } = await runProgram(process.execPath, [bin, ...args], {
    cwd: database.folder,
    env: { PATH: process.env.PATH, DATABASE_URL: database.url, NODE_PATH: join(packageRoot, 'node_modules') },
  });
  if (status !== 0 || /error/i.test(stderr)) throw new Error(stdout + stderr);
  return stdout + stderr;
}

/** The newest migration's file. */
async function newestMigration(): Promise<string> {
  const files = (await readdir(join(database.folder, 'drizzle'))).filter((name) => name.endsWith('.sql')).sort();
  return join(database.folder, 'drizzle', files.at(-1) ?? '');
}

test('generate, migrate and push leave the feed alone, and writes are recorded', async () => {
  await kit('generate', '--custom', '--name', 'feed');
  await writeFile(await newestMigration(), changeFeedSql());
  await kit('generate', '--name', 'kunde');
  const kunde = await newestMigration();
  await writeFile(kunde, `${await readFile(kunde, 'utf8')}\n--> statement-breakpoint\n${watchSql('kunde')}`);
  await kit('migrate');
  await migrate(db, { migrationsFolder: join(database.folder, 'drizzle') }); // finds all applied

  await db.transaction(async (transaction) => {
    await transaction.execute(
      sql`select set_config('change_feed.actor', ${'ada'}, true), set_config('change_feed.client', ${'a-page'}, true)`,
    );
    await transaction.execute(sql`insert into kunde values (7)`);
  });
  expect(await database.changes()).toEqual([['kunde', 'insert', '[7]', 'drizzle', 'a-page', 'ada']]);

  expect(await kit('generate')).toContain('No schema changes');
  expect(await kit('push')).toContain('No changes detected');
  await schema('id: integer().primaryKey(), name: text()');
  expect(await kit('push', '--verbose')).toContain('ALTER TABLE "kunde" ADD COLUMN "name" text');
  await database.psql.query(`insert into kunde values (8, 'Eve')`);
  expect((await database.changes()).map(([, operation, keys]) => [operation, keys])).toEqual([
    ['insert', '[7]'],
    ['insert', '[8]'],
  ]);
  expect((await database.psql.query('select * from change_feed.owner_fault')).rows).toEqual([]);
});

test('the migrator of drizzle-orm applies the same files to an empty database', async () => {
  const other = await createOwnedDatabase('drizzle_orm');
  const client = new pg.Client({ connectionString: other.url, application_name: 'drizzle' });
  await client.connect();
  await migrate(drizzle(client), { migrationsFolder: join(database.folder, 'drizzle') });
  await other.psql.query('insert into kunde values (7)');
  expect(await other.changes()).toEqual([['kunde', 'insert', '[7]', 'psql', '', '']]);
  await client.end();
  await other.drop();
});
