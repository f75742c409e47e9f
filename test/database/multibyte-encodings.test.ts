import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { createDatabase } from '../../src/app/database.js';
import type { LoggedChange } from '../../src/change.js';
import { migrateChangeFeed } from '../../src/database/migrate.js';
import { ChangeLog } from '../../src/feed/log/change-log.js';
import { createChangeFeed, type FeedWithStreams } from '../../src/http/create-change-feed.js';
import { createRawDatabase, databaseUrl, runAsAdmin } from '../test-database.js';
import { until } from '../until.js';

/** Encodings of East Asia, and a character of each that UTF-8 does not have: the two bytes are valid there. */
const ENCODINGS = [
  { encoding: 'EUC_JP', bytes: '\\xA2\\xAF', octal: '\\242\\257' },
  { encoding: 'EUC_KR', bytes: '\\xA2\\xE9', octal: '\\242\\351' },
  { encoding: 'EUC_CN', bytes: '\\xA2\\xA1', octal: '\\242\\241' },
  { encoding: 'EUC_TW', bytes: '\\xA1\\xBA', octal: '\\241\\272' },
] as const;

describe.each(ENCODINGS)('in a database in $encoding', ({ encoding, bytes, octal }) => {
  const name = `multibyte_${encoding.toLowerCase()}_${process.pid}`;
  let psql: pg.Client;
  let feed: FeedWithStreams;
  const heard: LoggedChange[] = [];

  beforeAll(async () => {
    await createRawDatabase(name, `encoding '${encoding}' locale 'C' template template0`);
    const db = createDatabase(databaseUrl(name));
    await migrateChangeFeed(db);
    await db.destroy();
    psql = new pg.Client({ connectionString: databaseUrl(name) });
    await psql.connect();
    await psql.query(`create table member (name text primary key); select change_feed.watch('member')`);
    feed = createChangeFeed({ databaseUrl: databaseUrl(name) });
    await feed.start();
    feed.changes.listen({ onChanges: (changes) => heard.push(...changes), onLost: () => {} });
  });

  afterAll(async () => {
    await feed.stop();
    await psql.end();
    await runAsAdmin(`drop database if exists ${name} with (force)`);
  });

  test('a key with a character that UTF-8 lacks costs its own keys, a name is shown in octal, and both are replayed', async () => {
    const log = new ChangeLog(databaseUrl(name), () => {});
    const since = await log.begin();
    await psql.query(`insert into member values ('日本')`);
    await psql.query(`set client_encoding to sql_ascii; insert into member values (E'${bytes}')`);
    await psql.query(`select change_feed.emit(E'of ${bytes}'); reset client_encoding`);
    await psql.query(`select change_feed.emit('afterwards')`);
    await until(() => heard.some(({ resource }) => resource === 'afterwards'), 'the last event');
    const told = (changes: readonly LoggedChange[]) => changes.map(({ resource, keys }) => [resource, keys]);
    const expected = [
      ['member', ['日本']],
      ['member', undefined],
      [`of ${octal}`, undefined],
    ];
    expect(told(heard).slice(0, 3)).toEqual(expected);
    expect(told((await log.replay(since, ['member', `of ${octal}`, '🎉'])).changes)).toEqual(expected);
    // Many, of which those of some resources are read by name
    await psql.query(`do $$ begin for i in 1..300 loop perform change_feed.emit('many'); end loop; end $$`);
    expect(told((await log.replay(since, ['member', `of ${octal}`, '🎉'])).changes)).toEqual(expected);
    await log.close();
  });
});
