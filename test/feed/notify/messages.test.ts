import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { CHANNEL, WRITERS } from '../../../src/feed/notify/listener.js';
import { createTestDatabase, runAsAdmin, type TestDatabase } from '../../test-database.js';
import { until } from '../../until.js';
import { TwoServers } from './two-servers.js';

// Two servers on one database, periodic reads off: the leader tells the other what it has read.

const LOG = 'pg-change-feed log';
const READ = /from change_feed\.change/;

let database: TestDatabase;
let both: TwoServers;

beforeEach(async () => {
  database = await createTestDatabase();
  both = await TwoServers.start(database.url);
  await both.psql.query(`create table zaehler (id int primary key); select change_feed.watch('zaehler')`);
  await both.emit('bereit');
  await both.untilBothAreTold('bereit');
  await both.untilMessagesAreRead();
});

afterEach(async () => {
  await both[Symbol.asyncDispose]();
  await database.drop();
});

/** Lets no read of the other server be answered. */
async function holdReads(): Promise<void> {
  for (;;) await both.gate.hold({ application: LOG, statement: READ, place: 'before' });
}

const names = ({ told }: TwoServers['other']) => told.map(({ resource }) => resource);

describe('the other server', () => {
  test('is told each change by a message, as the leader has read it: it could not read', async () => {
    void holdReads();
    for (let key = 1; key <= 20; key += 1) await both.psql.query('insert into zaehler values ($1)', [key]);
    await both.psql.query(`select change_feed.emit('danach', '{"text": "ä", "wert": 9007199254740993}')`);
    await both.untilBothAreTold('danach');
    expect(both.other.told).toEqual(both.leader.told);
    expect(both.other.told.at(-1)?.dataText).toContain('9007199254740993');
    expect(both.other.told.flatMap(({ keys = [] }) => keys)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  });

  test('is told by a message who wrote what, which scopes that was of, and big keys as they were recorded', async () => {
    await both.psql.query(`create table buchung (id bigint primary key, mandant_id int);
      select change_feed.watch('buchung', scopes => '{mandant_id}')`);
    void holdReads();
    await both.psql.query(`begin; select set_config('change_feed.actor', 'ada', true);
      insert into buchung values (9007199254740993, 7), (2, 8); delete from buchung where id = 2; commit`);
    await both.psql.query(`select change_feed.emit('gebucht', '{}', '{"mandant_id": "7"}')`);
    await both.untilBothAreTold('gebucht');
    // Statements read their scopes when they are asked.
    const textsOf = ({ told }: TwoServers['other']) =>
      told.map(({ statements, ...change }) => ({ ...change, scopes: statements?.map(({ text }) => text) }));
    expect(textsOf(both.other)).toEqual(textsOf(both.leader));
    // watch() records a change without keys, too.
    expect(textsOf(both.other).find(({ keys }) => keys)).toMatchObject({
      keysText: expect.stringContaining('9007199254740993'),
      scopes: expect.arrayContaining([expect.stringContaining('"7"')]),
      origin: { actor: 'ada' },
    });
  });

  test('reads what the leader has summed up where it tells scopes apart', async () => {
    const { messages } = both.other.feed.counts;
    const { brief } = messages;
    const end = both.other.feed.scopes.tell();
    await both.psql.query(`do $$ begin for i in 1 .. 500 loop
      perform change_feed.emit('viele', '{}', '{"mandant_id": "7"}'); end loop; end $$`);
    await both.untilBothAreTold('viele');
    expect(messages.brief).toBeGreaterThan(brief);
    const [told] = both.other.told.filter(({ resource }) => resource === 'viele');
    expect(told?.statements?.length).toBeGreaterThan(0);
    end();
  });

  test('is told the names of what the leader has summed up', async () => {
    void holdReads();
    await both.psql.query(`do $$ begin for i in 1 .. 500 loop perform change_feed.emit('viele'); end loop; end $$`);
    await both.untilBothAreTold('viele');
    expect(both.other.told).toEqual([{ resource: 'viele' }]);
  });

  test('reads where more has changed than a message holds', async () => {
    await both.emit('gross', 'x'.repeat(60_000));
    await both.untilBothAreTold('gross');
    // 250 names that no packing shortens
    await both.psql.query('select change_feed.emit(md5(i::text) || md5((-i)::text)) from generate_series(1, 250) i');
    await both.emit('zuletzt');
    await both.untilBothAreTold('zuletzt');
    expect(new Set(names(both.other))).toEqual(new Set(names(both.leader)));
    expect(both.other.feed.counts.messages.brief).toBeGreaterThan(0);
  });

  test('reads where a writer has notified it and no message comes', async () => {
    both.filter.meddle = ({ payload, bytes }) => (payload === WRITERS ? [bytes] : []);
    await both.emit('ohne nachricht');
    await both.untilBothAreTold('ohne nachricht');
  });

  test('reads where it has missed a message, and tells all in order', async () => {
    const { messages } = both.other.feed.counts;
    const { missed } = messages;
    both.filter.meddle = () => [];
    await both.emit('verpasst');
    await until(() => names(both.leader).includes('verpasst'));
    await until(() => both.sealed().length > 0, 'the message that it does not receive');
    // The filter may not have had it yet: it takes what comes until the next change.
    await both.psql.query(`select pg_notify('anders', '')`);
    both.filter.meddle = ({ payload, bytes }) => (payload === WRITERS ? [] : [bytes]);
    await both.emit('danach');
    await both.untilBothAreTold('danach');
    expect(names(both.other)).toEqual(['verpasst', 'danach']);
    expect(messages.missed).toBe(missed + 1);
  });

  test('tells each change once where messages come twice, and in another order', async () => {
    let held: Buffer | undefined;
    both.filter.meddle = ({ bytes }) => {
      // Each goes behind the next, and both come twice.
      const before = held;
      held = before ? undefined : bytes;
      return before ? [bytes, before, before, bytes] : [];
    };
    for (let i = 0; i < 20; i += 1) await both.emit(`nummer ${i}`);
    both.filter.meddle = ({ bytes }) => [bytes];
    await both.emit('danach');
    await both.untilBothAreTold('danach');
    expect(names(both.other)).toEqual(names(both.leader));
  });
});

describe('somebody with a login and no right', () => {
  const MALLORY = `mallory_messages_${process.pid}`;
  let mallory: pg.Client;

  beforeEach(async () => {
    await runAsAdmin(`create role ${MALLORY} login password '${MALLORY}'`);
    const url = new URL(database.url);
    url.username = MALLORY;
    url.password = MALLORY;
    mallory = new pg.Client({ connectionString: url.href });
    await mallory.connect();
  });

  afterEach(async () => {
    await mallory.end();
    await runAsAdmin(`drop role ${MALLORY}`);
  });

  test('who listens reads nothing: not which table has changed, not by its length, and not the key', async () => {
    const heard: string[] = [];
    mallory.on('notification', ({ payload = '' }) => heard.push(payload));
    await mallory.query(`listen ${CHANNEL}`);
    for (const name of ['kurz', 'ein-viel-laengerer-name-als-der-andere']) {
      await both.emit(name, { wert: 'geheim' });
      await both.untilBothAreTold(name);
    }
    await until(() => heard.filter((payload) => payload !== WRITERS).length >= 2, 'two messages');
    for (const payload of heard) {
      const bytes = Buffer.from(payload, 'base64').toString('latin1');
      for (const text of [payload, bytes]) expect(text).not.toMatch(/kurz|laenger|geheim|emit|wert/);
    }
    expect(new Set(heard.map((payload) => payload.length))).toEqual(new Set([0, 980]));
    for (const statement of [
      'select * from change_feed.message_key',
      'select * from change_feed.new_message_key()',
      'select change_feed.beat()',
    ]) {
      await expect(mallory.query(statement)).rejects.toMatchObject({ code: '42501' });
    }
    await both.psql.query(`grant usage on schema change_feed to ${MALLORY}`);
    await expect(mallory.query('select * from change_feed.message_key')).rejects.toMatchObject({ code: '42501' });
    await expect(mallory.query('select * from change_feed.new_message_key()')).rejects.toMatchObject({ code: '42501' });
    await both.psql.query(`revoke usage on schema change_feed from ${MALLORY}`);
  });

  test('who sends messages again, or changed, tells nobody anything', async () => {
    for (let i = 0; i < 5; i += 1) await both.emit(`nummer ${i}`);
    await both.untilBothAreTold('nummer 4');
    const told = names(both.other);
    const { notifications, messages } = both.other.feed.counts;
    const before = { ...notifications, told: messages.told };
    const old = both.sealed();
    for (const { payload } of old) {
      const changed = Buffer.from(payload, 'base64');
      changed.writeUInt8(changed.readUInt8(changed.length - 1) ^ 1, changed.length - 1);
      for (const text of [payload, changed.toString('base64')]) {
        await mallory.query('select pg_notify($1, $2)', [CHANNEL, text]);
      }
    }
    await until(() => notifications.other === before.other + 2 * old.length, 'what was forged');
    await both.emit('danach');
    await both.untilBothAreTold('danach');
    expect(names(both.other)).toEqual([...told, 'danach']);
    expect(notifications.leader).toBeLessThanOrEqual(before.leader + 2);
    expect(messages.told).toBeLessThanOrEqual(before.told + 1);
  });
});

describe('the key', () => {
  const term = async () => (await both.psql.query('select term from change_feed.message_key')).rows;

  test('is another one with each leader, and that of the leader before is gone', async () => {
    const [before] = await term();
    const { messages } = both.other.feed.counts;
    await both.psql.query('select pg_terminate_backend(pid) from change_feed.current_leader');
    await until(async () => (await term())[0]?.term !== before?.term, 'another key');
    expect(await term()).toHaveLength(1);
    const leads = () => [both.leader, both.other].find(({ feed }) => feed.leader.idle);
    await until(() => leads() !== undefined, 'another leader');
    const follower = leads() === both.leader ? both.other : both.leader;
    const { told } = follower.feed.counts.messages;
    for (let i = 0; follower.feed.counts.messages.told === told; i += 1) {
      await both.emit(`neu ${i}`);
      await both.untilBothAreTold(`neu ${i}`);
    }
    expect(messages.told + both.leader.feed.counts.messages.told).toBeGreaterThan(0);
  });

  test('is renewed each day', async () => {
    const [before] = await term();
    const now = performance.now.bind(performance);
    const tomorrow = jest.spyOn(performance, 'now').mockImplementation(() => now() + 25 * 3600 * 1000);
    await until(async () => (await term())[0]?.term !== before?.term, 'another key');
    tomorrow.mockRestore();
    await both.untilMessagesAreRead();
  });
});
