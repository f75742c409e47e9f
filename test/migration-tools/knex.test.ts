import { afterAll, beforeAll, expect, test } from '@jest/globals';
import knexModule, { type Knex } from 'knex';
import { installChangeFeed, removeChangeFeed } from '../../src/database/install.js';
import { setOrigin } from '../../src/database/origin.js';
import { changeFeedSql, removeChangeFeedSql, unwatchSql, watchSql } from '../../src/database/sql-text.js';
import { createOwnedDatabase, type OwnedDatabase } from '../owned-database.js';

let database: OwnedDatabase;
let knex: Knex;

beforeAll(async () => {
  database = await createOwnedDatabase('knex');
  const connection = { connectionString: database.url, application_name: 'knex' };
  const log = { warn: () => {}, error: () => {} }; // of the migration that fails on purpose
  knex = knexModule.knex({ client: 'pg', connection, log });
});

afterAll(async () => {
  await knex.destroy();
  await database.drop();
});

/** Runs statements of the feed in Knex, which writes a ? where Postgres has $1. */
const queryOver = (db: Knex) => (text: string, values?: unknown[]) =>
  values ? db.raw(text.replace(/\$\d/g, '?'), values as Knex.RawBinding[]) : db.raw(text);

/** Migrations as Knex takes them from anywhere: by name, in order. */
function migrationsFrom(migrations: Record<string, Knex.Migration>): Knex.MigratorConfig {
  return {
    migrationSource: {
      getMigrations: async () => Object.keys(migrations),
      getMigrationName: (name: string) => name,
      getMigration: async (name: string) => migrations[name] as Knex.Migration,
    },
  };
}

test('migrates up, writes, and migrates down, from SQL as text', async () => {
  const config = migrationsFrom({
    '1-feed': {
      up: (db) => db.raw(changeFeedSql()).then(() => {}),
      down: (db) => db.raw(removeChangeFeedSql()).then(() => {}),
    },
    '2-kunde': {
      up: async (db) => {
        await db.schema.createTable('kunde', (table) => {
          table.integer('id').primary();
          table.text('name');
        });
        await db.raw(watchSql('kunde', { resource: 'kunden' }));
      },
      down: async (db) => {
        await db.raw(unwatchSql('kunde'));
        await db.schema.dropTable('kunde');
      },
    },
  });
  await knex.migrate.latest(config);
  await knex.transaction(async (transaction) => {
    await setOrigin(queryOver(transaction), { actor: 'who? ada', client: 'a-page' });
    await transaction('kunde').insert({ id: 7, name: 'Ada' });
  });
  await knex('kunde').where({ id: 7 }).update({ name: 'Eve' });
  expect(await database.changes()).toEqual([
    ['kunden', 'insert', '[7]', 'knex', 'a-page', 'who? ada'],
    ['kunden', 'update', '[7]', 'knex', '', ''],
  ]);
  await knex.migrate.rollback(config, true);
  expect(await database.isInstalled()).toBe(false);
});

test('installs by function in the transaction of its migration, and rolls back with it', async () => {
  const failing = migrationsFrom({
    '1-feed': {
      up: async (db) => {
        expect(await installChangeFeed(queryOver(db))).not.toEqual([]);
        throw new Error('a later line of the migration');
      },
      down: async () => {},
    },
  });
  await expect(knex.migrate.latest(failing)).rejects.toThrow('a later line of the migration');
  expect(await database.isInstalled()).toBe(false);

  const config = migrationsFrom({
    '1-feed': {
      up: async (db) => {
        await installChangeFeed(queryOver(db));
      },
      down: (db) => removeChangeFeed(queryOver(db)),
    },
  });
  await knex.migrate.latest(config);
  expect(await database.isInstalled()).toBe(true);
  await knex.migrate.rollback(config);
  expect(await database.isInstalled()).toBe(false);
});
