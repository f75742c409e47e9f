import { setTimeout as delay } from 'node:timers/promises';
import { CHANNEL } from '../../../src/feed/notify/listener.js';
import type { NotificationFilter, PassingNotification } from '../../notification-filter.js';
import { until } from '../../until.js';
import type { Fault, Target } from '../fault.js';
import type { WriterHabits } from '../writers.js';

/** At this pace the leader is idle, and tells the other servers each change by a message. */
const CALM: WriterHabits = { count: 3, pauseMs: 150 };

/** The time for which notifications are meddled with, in ms. */
const MEDDLING_MS = 6000;

/** The parts of the queue of notifications that are filled: messages are brief then, and nobody notifies. */
const FILLED = [0.02, 0.51];

type Meddle = NotificationFilter['meddle'];

/** Faults of the leader's messages, and of notifications at all. */
export const MESSAGE_FAULTS: readonly Fault[] = [
  {
    name: 'all messages of the leader dropped',
    writers: CALM,
    strike: (target) => meddle(target, () => (each) => (isSealed(each) ? [] : [each.bytes])),
  },
  {
    name: 'one notification in three dropped',
    writers: CALM,
    strike: (target) => meddle(target, () => (each) => (Math.random() < 1 / 3 ? [] : [each.bytes])),
  },
  {
    name: 'each notification doubled',
    writers: CALM,
    strike: (target) =>
      meddle(target, () => ({ bytes }) => [bytes, bytes]),
  },
  { name: 'notifications received in another order', writers: CALM, strike: reorder },
  { name: 'messages forged, and sent again by another session', writers: CALM, strike: forge },
  { name: 'messages of a leader that was replaced', writers: CALM, strike: replayReplaced },
  { name: 'the queue of notifications blocked, and half full', writers: CALM, strike: blockQueue },
];

const isSealed = ({ payload }: PassingNotification) => payload.length >= 60;
const passOn: Meddle = ({ bytes }) => [bytes];

/** Lets each server receive what a function of its own makes of its notifications. */
async function meddle({ servers }: Target, meddleOf: () => Meddle): Promise<void> {
  for (const { filter } of servers.running) filter.meddle = meddleOf();
  await delay(MEDDLING_MS);
  for (const { filter } of servers.running) filter.meddle = passOn;
}

/** Each notification goes behind up to four that come after it. */
async function reorder(target: Target): Promise<void> {
  const waiting = target.servers.running.map(({ filter }) => ({ filter, held: [] as Buffer[] }));
  for (const { filter, held } of waiting) {
    filter.meddle = ({ bytes }) => {
      held.push(bytes);
      return held.length < 5 ? [] : held.splice(Math.floor(Math.random() * held.length), 1);
    };
  }
  await delay(MEDDLING_MS);
  for (const { filter, held } of waiting) {
    filter.meddle = passOn;
    for (const bytes of held) filter.inject(bytes);
  }
}

/** Sends each message again, and then with one bit changed. */
async function forge({ postgres }: Target): Promise<void> {
  const session = await postgres.connect();
  const { rows } = await session.query('select pg_backend_pid() as pid');
  const sent: Promise<unknown>[] = [];
  session.on('notification', ({ payload = '', processId }) => {
    const bytes = Buffer.from(payload, 'base64');
    if (payload.length < 60 || processId === rows[0].pid) return;
    const place = Math.floor(Math.random() * bytes.length);
    bytes.writeUInt8(bytes.readUInt8(place) ^ 1, place);
    for (const text of [payload, bytes.toString('base64')]) {
      sent.push(session.query('select pg_notify($1, $2)', [CHANNEL, text]).catch(() => {}));
    }
  });
  await session.query(`listen ${CHANNEL}`);
  await until(() => sent.length > 10, 'messages to forge');
  await delay(MEDDLING_MS);
  await Promise.all(sent);
  await session.end();
}

/** Keeps what the leader sends, has another one lead, and lets all servers receive it then, as from the leader's session. */
async function replayReplaced({ postgres, servers }: Target): Promise<void> {
  const kept: Buffer[] = [];
  const [first] = servers.running;
  if (!first) throw new TypeError('Expected a server');
  first.filter.meddle = (each) => {
    if (isSealed(each)) kept.push(each.bytes);
    return [each.bytes];
  };
  await until(() => kept.length > 10, 'messages of the leader');
  first.filter.meddle = passOn;
  await postgres.sql('select pg_terminate_backend(pid) from change_feed.current_leader');
  const end = performance.now() + MEDDLING_MS;
  while (performance.now() < end) {
    for (const { filter } of servers.running) for (const bytes of kept) filter.inject(bytes);
    await delay(100);
  }
}

/** A session that listens, and sits in a transaction, lets the queue fill up. */
async function blockQueue({ postgres }: Target): Promise<void> {
  const sleeper = await postgres.connect();
  await sleeper.query('listen beliebig');
  await sleeper.query('begin; select 1');
  const filler = await postgres.connect();
  for (const share of FILLED) {
    await until(async () => {
      const { rows } = await filler.query('select pg_notification_queue_usage() as usage');
      if (rows[0].usage >= share) return true;
      await filler.query(`select pg_notify('anders', repeat('x', 7000) || random()) from generate_series(1, 20)`);
      return false;
    }, 'the queue to fill up');
    await delay(MEDDLING_MS / 2);
  }
  await sleeper.end();
  await filler.end();
}
