import { beforeAll, beforeEach, expect, test } from '@jest/globals';
import type pg from 'pg';
import { until } from '../until.js';
import { useWatchedDatabase } from '../watched-database.js';

// Whether an application's own event notifies the servers: without a notification each would arrive up to a second later.

const database = useWatchedDatabase();
let leader: pg.Client;
let listener: pg.Client;
let notifications: string[];

beforeAll(async () => {
  leader = await database.session();
  await leader.query('select change_feed.lead()');
  listener = await database.session();
  listener.on('notification', ({ payload = '' }) => notifications.push(payload));
  await listener.query('listen change_feed');
});

beforeEach(() => {
  notifications = [];
});

/** Waits until all notifications of commits before this call are here: one of its own follows them. */
async function allHere(mark: string): Promise<void> {
  await leader.query('select pg_notify($1, $2)', ['change_feed', mark]);
  await until(() => notifications.includes(mark), mark);
}

async function emitAndCommit(): Promise<void> {
  await database.psql.query('begin');
  await database.psql.query(`select change_feed.emit('auswertung', '{"seite": 1}')`);
  await allHere('before the commit');
  await database.psql.query('commit');
  await allHere('after the commit');
}

test('while the leader is idle, an event notifies at its commit, and not before', async () => {
  await leader.query('select change_feed.begin_idle()');
  await emitAndCommit();
  expect(notifications).toEqual(['before the commit', '', 'after the commit']);
});

test('while the leader is awake, it does not notify', async () => {
  await leader.query('select change_feed.end_idle()');
  await emitAndCommit();
  expect(notifications).toEqual(['before the commit', 'after the commit']);
});
