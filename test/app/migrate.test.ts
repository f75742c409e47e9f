import { expect, test } from '@jest/globals';
import pg from 'pg';
import { createDatabase } from '../../src/app/database.js';
import { migrateApplication } from '../../src/app/migrate.js';
import { createRawDatabase, databaseUrl, runAsAdmin } from '../test-database.js';

test('a database with the migrations of another application is refused, and left as it is', async () => {
  const name = `another_application_${process.pid}`;
  await createRawDatabase(name);
  const psql = new pg.Client(databaseUrl(name));
  await psql.connect();
  await psql.query(`create table kysely_migration (name text, timestamp text);
    insert into kysely_migration values ('0001-chinook')`);
  const db = createDatabase(databaseUrl(name));
  await expect(migrateApplication(db)).rejects.toThrow('The database has the migrations of another application');
  const { rows } = await psql.query(
    `select to_regnamespace('change_feed') as schema, array(select tablename::text from pg_tables where schemaname = 'public') as tables`,
  );
  expect(rows).toEqual([{ schema: null, tables: expect.not.arrayContaining(['veranstaltung']) }]);
  await db.destroy();
  await psql.end();
  await runAsAdmin(`drop database ${name} with (force)`);
});
