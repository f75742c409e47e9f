import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createDatabase } from '../../src/app/database.js';
import { migrateApplication } from '../../src/app/migrate.js';
import { databaseUrl, runAsAdmin } from '../test-database.js';
import { change, createWatchedDatabase, type WatchedDatabase } from '../watched-database.js';

// Databases where lower('INSERT') is no 'insert', where 'i' and 'I' are two letters, or where text sorts in another way.

const LOCALES = [
  ['Turkish', 'tr-TR'],
  ['Azerbaijani', 'az-Latn-AZ'],
  ['Lithuanian', 'lt-LT'],
  ['upper case first', 'de-u-kf-upper'],
] as const;

describe.each(LOCALES)('in a database with the locale %s', (_name, locale) => {
  let database: WatchedDatabase | undefined;
  const template = `locale_${locale.toLowerCase().replaceAll('-', '_')}_${process.pid}`;

  beforeAll(async () => {
    const probe = await createWatchedDatabase();
    const { version } = probe;
    await probe.drop();
    if (version < 15) return; // no database has a locale of ICU
    await runAsAdmin(
      `create database ${template} template template0 encoding 'UTF8' locale_provider icu icu_locale '${locale}'`,
    );
    const db = createDatabase(databaseUrl(template));
    await migrateApplication(db);
    await db.destroy();
    database = await createWatchedDatabase(template);
  });

  afterAll(async () => {
    await database?.drop();
    await runAsAdmin(`drop database if exists ${template} with (force)`);
  });

  test.each(['t', '"INSTITUTION"', '"İstanbul ılık"', '"DELIVERIES"'])(
    'the table %s is watched, and each kind of write recorded',
    async (table) => {
      if (!database) return;
      const { psql, recorded, watch } = database;
      await psql.query(`create table ${table} (id int primary key, n int)`);
      const { rows } = await psql.query('select relname from pg_class where oid = $1::regclass', [table]);
      const name: string = rows[0].relname;
      const told = (operation: string, keys: unknown[] | null) => change(name, operation, keys);
      expect(await watch(table)).toMatch(/^watching /);
      expect(await watch(table)).toMatch(/^already watching /);
      expect(
        (await psql.query('select relation::text from change_feed.watched_table where resource = $1', [name])).rows,
      ).toHaveLength(1);
      const operations = `select tgname from pg_trigger where tgrelid = $1::regclass and tgname like 'change_feed%' order by tgname collate "C"`;
      expect((await psql.query(operations, [table])).rows.map(({ tgname }) => tgname)).toEqual([
        'change_feed_delete',
        'change_feed_insert',
        'change_feed_truncate',
        'change_feed_update',
      ]);
      expect(await recorded(`insert into ${table} values (1), (2); insert into ${table} values (3)`)).toEqual([
        told('insert', [1, 2]),
        told('insert', [3]),
      ]);
      expect(await recorded(`update ${table} set n = 1; delete from ${table} where id < 3; truncate ${table}`)).toEqual(
        [told('update', [1, 2, 3]), told('delete', [1, 2]), told('truncate', null)],
      );
      await psql.query('select change_feed.unwatch($1::regclass)', [table]);
      expect((await psql.query(operations, [table])).rows).toEqual([]);
    },
  );

  test('a key of text in it is named as it is', async () => {
    if (!database) return;
    await database.psql.query('create table keyed (id text primary key)');
    await database.watch('keyed');
    expect(await database.recorded(`insert into keyed values ('IiİıSß'), ('b')`)).toEqual([
      change('keyed', 'insert', ['IiİıSß', 'b']),
    ]);
  });

  test.each(['a\u0085b', 'a\u0001b', 'a,b'])('the resource %j is refused as anywhere', async (resource) => {
    await expect(
      database ? database.watch('veranstaltung', resource) : Promise.reject(new Error('cannot name a resource')),
    ).rejects.toThrow('cannot name a resource');
  });

  test('the resource with a soft hyphen is taken, as anywhere', async () => {
    if (!database) return;
    expect(await database.watch('veranstaltung', 'Veran\u00adstaltung')).toMatch(/^watching /);
  });
});
