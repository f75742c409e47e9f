import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { ChangeFeed } from '../../src/feed/change-feed.js';
import { type Refusal, RefusingPostgres } from '../refusing-postgres.js';
import { createTestDatabase } from '../test-database.js';
import { until } from '../until.js';

/** How long each refusal is looked at, in ms. A slow machine makes fewer attempts and lines, never more. */
const WINDOW_MS = 4000;

const REFUSALS: readonly (readonly [string, Refusal])[] = [
  ['nothing listens', 'refused'],
  ['a password is refused', { fatal: '28P01', message: 'password authentication failed for user "x"' }],
  ['pg_hba.conf rejects', { fatal: '28000', message: 'pg_hba.conf rejects connection for host "127.0.0.1"' }],
  ['there are too many connections', { fatal: '53300', message: 'sorry, too many clients already' }],
  ['the database is gone', { fatal: '3D000', message: 'database "x" does not exist' }],
  ['Postgres starts', { fatal: '57P03', message: 'the database system is starting up' }],
  ['it closes at once', 'closes'],
  ['it closes after the start of a session', 'closes later'],
  ['it is mute', 'mute'],
  ['it asks for GSSAPI', 'asks for GSSAPI'],
  ['it says what pg cannot read', 'says nonsense'],
  ['the right is taken away', { error: '42501', message: 'permission denied for schema change_feed' }],
  ['the schema is gone', { error: '3F000', message: 'schema "change_feed" does not exist' }],
  [
    'it is a standby now',
    { error: '25006', message: 'cannot execute LISTEN during recovery', statement: /LISTEN|notify/ },
  ],
  ['only the leader is refused', { error: '42501', message: 'permission denied for function', statement: /_idle/ }],
  ['only reads are refused', { error: '42501', message: 'permission denied for view', statement: /epoch_in_force/ }],
];

test.concurrent.each(REFUSALS)(
  'while %s: a few lines, a few attempts, and afterwards all is told',
  async (_name, refusal) => {
    const database = await createTestDatabase();
    const door = await RefusingPostgres.before(database.url);
    const psql = new pg.Client({ connectionString: database.url });
    await psql.connect();
    const lines: { level: number; msg: string }[] = [];
    const feed = new ChangeFeed({
      listenDatabaseUrl: door.url,
      notify: (channel, payload) => psql.query('select pg_notify($1, $2)', [channel, payload]),
      logger: pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) }),
    });
    await feed.start();
    await until(() => feed.leader.idle, 'the leader to be idle');
    const heard: string[] = [];
    feed.listen({
      onChanges: (changes) => heard.push(...changes.map(({ resource }) => resource)),
      onLost: () => {},
    });
    lines.length = 0;

    await door.refuse(refusal);
    await delay(WINDOW_MS);
    const { attempts, refused } = door;
    // A pattern that matches no statement would refuse nothing
    if (typeof refusal === 'object' && 'error' in refusal) expect(refused).toBeGreaterThan(0);
    // Of the log, the leader, the listener, the orders to end streams, and a connection that broke
    expect(lines.map(({ msg }) => msg).slice(5)).toEqual([]);
    // The log, the leader and the listener, each after 0.1, 0.2, 0.4, 0.8, 1.6 and then every 2 s
    expect(attempts).toBeLessThan(40);

    await psql.query(`select change_feed.emit('meanwhile')`);
    lines.length = 0;
    await door.relent();
    await until(() => heard.includes('meanwhile'), 'the change');
    await until(() => lines.some(({ msg }) => msg === 'the database can be used again'), 'the line that it is over');
    await until(() => feed.health.database && feed.health.listener && feed.leader.idle, 'all to be well');
    expect(lines.filter(({ msg }) => msg === 'the database can be used again')).toHaveLength(1);
    await feed.stop();
    await door.close();
    await psql.end();
    await database.drop();
  },
);
