import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { installChangeFeed, removeChangeFeed } from '../../src/database/install.js';
import { changeFeedSql } from '../../src/database/sql-text.js';
import { watch } from '../../src/database/watch.js';
import { createChangeFeed } from '../../src/http/create-change-feed.js';
import { packageRoot } from '../../src/package-root.js';
import { sqlFiles } from '../database/sql-statements.js';
import { until } from '../until.js';
import { clusterVersions, type OwnCluster, startOwnCluster } from './own-cluster.js';

// Installing where nobody is a superuser, in clusters in which nobody has made the feed's role before.

describe.each(clusterVersions())('PostgreSQL %s', (version) => {
  let cluster: OwnCluster;
  const clients: pg.Client[] = [];

  beforeAll(async () => {
    cluster = await startOwnCluster(version);
  });

  afterAll(async () => {
    for (const client of clients) await client.end().catch(() => {});
    await cluster.stop();
  });

  /** Makes a user with these attributes, and a database of theirs. @returns a session of theirs there. */
  async function ownerWith(user: string, attributes = ''): Promise<pg.Client> {
    await cluster.admin(`create role ${user} login password '${user}' ${attributes}`);
    await cluster.admin(`create database ${user} owner ${user}`);
    return connect(user, user);
  }

  async function connect(user: string, database: string): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: cluster.urlOf(user, database), application_name: 'app' });
    client.on('error', () => {});
    await client.connect();
    clients.push(client);
    return client;
  }

  /** Watches a table, and writes to it as its owner and as one who has no right on the feed. */
  async function expectRecorded(owner: pg.Client, user: string): Promise<void> {
    await owner.query('create table kunde (id int primary key)');
    await watch(owner, 'kunde');
    await owner.query(`insert into kunde values (1); grant insert on kunde to public`);
    const writer = `${user}_writer`;
    await cluster.admin(`create role ${writer} login password '${writer}'`);
    await (await connect(writer, user)).query('insert into kunde values (2)');
    const { rows } = await owner.query('select keys from change_feed.change order by xid');
    expect(rows).toEqual([{ keys: '[1]' }, { keys: '[2]' }]);
    expect((await owner.query('select * from change_feed.owner_fault')).rows).toEqual([]);
  }

  test('a user with CREATEROLE installs by itself', async () => {
    const owner = await ownerWith('creator', 'createrole');
    expect(await installChangeFeed(owner)).toEqual(sqlFiles);
    await expectRecorded(owner, 'creator');
    await removeChangeFeed(owner);
    await owner.query(changeFeedSql());
  });

  test('a plain owner is told the two lines of an admin, and installs after them', async () => {
    await cluster.admin('drop database if exists creator with (force)');
    await cluster.admin('drop role if exists change_feed_owner, creator, creator_writer');
    const owner = await ownerWith('plain');
    const refused = await installChangeFeed(owner).catch((error: pg.DatabaseError) => error);
    expect(refused).toMatchObject({ message: 'plain may not make the role change_feed_owner, or is no member of it' });
    const [, lines = ''] = /^As a superuser: (.*)$/.exec((refused as pg.DatabaseError).hint ?? '') ?? [];
    expect(lines.split('; ')).toHaveLength(2);
    await cluster.admin(lines);
    await installChangeFeed(owner);
    await expectRecorded(owner, 'plain');
  });

  test('without the role everything belongs to the installing user: it installs, records, serves, and upgrades', async () => {
    const owner = await ownerWith('alone');
    const cli = (...args: string[]) =>
      spawnSync(process.execPath, [join(packageRoot, 'dist/src/cli.js'), ...args], {
        cwd: tmpdir(),
        env: { PATH: process.env.PATH, DATABASE_URL: cluster.urlOf('alone', 'alone'), JWT_SECRET: 'x'.repeat(32) },
        encoding: 'utf8',
      });
    expect(cli('migrate').stderr).toContain('As a superuser: ');
    expect(cli('migrate', '--without-role')).toMatchObject({ status: 0, stderr: '' });
    await expectRecorded(owner, 'alone');
    const { rows } = await owner.query(`select distinct pg_get_userbyid(relowner) as owner from pg_class
      where relnamespace = 'change_feed'::regnamespace`);
    expect(rows).toEqual([{ owner: 'alone' }]);
    expect(cli('watch', '--all').stdout).toBe('nothing new to watch\n');
    expect(cli('doctor', '--json').stdout).toContain('all belongs to alone');

    // The server
    const feed = createChangeFeed({ databaseUrl: cluster.urlOf('alone', 'alone'), logger: pino({ level: 'silent' }) });
    await feed.start();
    const received: unknown[] = [];
    feed.changes.listen({ onChanges: (changes) => received.push(...changes), onLost: () => {} });
    await owner.query('insert into kunde values (3)');
    await until(() => received.length > 0, 'a change');
    await feed.stop();

    // An upgrade, by another session, which does not say so again
    await owner.query(
      'create or replace function change_feed.check_resource(resource text) returns void language sql as $$ $$',
    );
    expect(cli('migrate')).toMatchObject({ status: 0, stderr: '' });
    await owner.query('insert into kunde values (4)');
    expect((await owner.query('select keys from change_feed.change where details[1] = $1', ['insert'])).rows).toEqual([
      { keys: '[4]' },
    ]);
    expect((await owner.query('select change_feed.feed_owner() as owner')).rows).toEqual([{ owner: 'alone' }]);
    await removeChangeFeed(owner);
    await owner.query(changeFeedSql({ withoutRole: true }));
  });

  test('without the role a superuser installs nothing: every recorder would run as superuser', async () => {
    await cluster.admin('create database super');
    await expect(cluster.admin(changeFeedSql({ withoutRole: true }), 'super')).rejects.toThrow(
      'change_feed.without_role is not for a superuser',
    );
  });
});
