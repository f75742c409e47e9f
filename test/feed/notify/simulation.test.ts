import { randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { type Notification, WRITERS } from '../../../src/feed/notify/listener.js';
import type { Term } from '../../../src/feed/notify/message-sender.js';
import { SimulatedPrimary, SimulatedServer, settled } from './simulated-servers.js';

// Servers with the real reader, sender and receiver, on a simulated primary and a network that does what it likes.

const SERVERS = 4;
/** Of these two lead at the same time, and the third when it is told to. */
const LEADERS = 3;
const ROWS = 3;

const number = fc.nat(1000);
type Step = readonly [
  does:
    | ('begin' | 'write' | 'end' | 'lead' | 'read' | 'answer' | 'send')
    | ('deliver' | 'lose' | 'double' | 'replay' | 'forge')
    | ('tell' | 'flow'),
  which: number,
  how: number,
];
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.constant('begin' as const), number, number) },
  { weight: 10, arbitrary: fc.tuple(fc.constantFrom('write' as const, 'end' as const), number, number) },
  { weight: 8, arbitrary: fc.tuple(fc.constantFrom('read' as const, 'answer' as const), number, number) },
  { weight: 12, arbitrary: fc.tuple(fc.constantFrom('send' as const, 'deliver' as const), number, number) },
  { weight: 10, arbitrary: fc.tuple(fc.constantFrom('tell' as const, 'flow' as const), number, number) },
  {
    weight: 3,
    arbitrary: fc.tuple(
      fc.constantFrom('lose' as const, 'double' as const, 'replay' as const, 'forge' as const),
      number,
      number,
    ),
  },
  { weight: 1, arbitrary: fc.tuple(fc.constant('lead' as const), number, number) },
);

const newTerm = (pid: number): Term => ({ term: randomBytes(8).toString('hex'), key: randomBytes(32), pid });

let told = 0;
let missed = 0;

async function run(history: readonly Step[]): Promise<void> {
  const primary = new SimulatedPrimary();
  const terms: Term[] = [];
  const servers = Array.from({ length: SERVERS }, () => new SimulatedServer(primary, () => terms));
  const queues = servers.map((): Notification[] => []);
  const sent: Notification[] = [];
  const post = (notification: Notification) => {
    sent.push(notification);
    for (const queue of queues) queue.push(notification);
  };
  const lead = (server: number) => {
    const term = newTerm(100 + server);
    terms.push(term);
    servers[server]?.lead(term, (payload) => post({ payload, pid: term.pid }));
    // The others have asked for the key.
    for (const other of servers) other.learn(term);
  };
  lead(0);
  lead(1);
  for (const [does, which, how] of history) {
    const server = servers[which % SERVERS] as SimulatedServer;
    const queue = queues[which % SERVERS] as Notification[];
    const xid = primary.open[which % Math.max(primary.open.length, 1)];
    if (does === 'begin') primary.begin();
    else if (does === 'write' && xid) primary.write(xid, how % ROWS);
    else if (does === 'end' && xid) {
      primary.end(xid, how % 5 > 0);
      post({ payload: WRITERS, pid: 7 });
    } else if (does === 'lead') lead(which % LEADERS);
    else if (does === 'read') server.read();
    else if (does === 'answer') await server.answer(how % 2 === 0);
    else if (does === 'send') server.tellOthers();
    // Mostly the first of the queue; Postgres keeps the order, and nothing here relies on it.
    else if (does === 'deliver' || does === 'lose' || does === 'double') {
      const place = how % 4 > 0 ? 0 : how % Math.max(queue.length, 1);
      const [notification] = does === 'double' ? queue.slice(place, place + 1) : queue.splice(place, 1);
      if (notification && does !== 'lose') server.receive(notification);
    } else if (does === 'replay') {
      const old = sent[how % Math.max(sent.length, 1)];
      if (old) server.receive(how % 2 ? old : { ...old, pid: 666 });
    } else if (does === 'tell') {
      // As a leader does that is notified
      const leader = servers[which % 2] as SimulatedServer;
      leader.read();
      await leader.answer(true);
      leader.tellOthers();
    } else if (does === 'flow') {
      for (const [place, each] of queues.entries()) {
        for (const notification of each.splice(0)) servers[place]?.receive(notification);
      }
    } else if (does === 'forge') {
      const bytes = Buffer.from(sent[how % Math.max(sent.length, 1)]?.payload ?? '', 'base64');
      if (bytes.length > 0) bytes[how % bytes.length] = (bytes[how % bytes.length] ?? 0) ^ 1;
      server.receive({ payload: bytes.toString('base64'), pid: how % 2 ? 666 : 100 });
    }
    await settled();
  }
  for (const xid of primary.open) primary.end(xid, true);
  for (const server of servers) {
    await server.catchUp();
    told += server.counts.messages.told;
    missed += server.counts.messages.missed;
    for (let row = 0; row < ROWS; row += 1) {
      const of = (all: readonly { readonly resource: string | null; readonly key: number }[]) =>
        all.filter(({ resource }) => resource === `r${row}`).map(({ key }) => key);
      const written = primary.committed.map(({ resource, keys }) => ({ resource, key: JSON.parse(keys ?? '')[0] }));
      expect(of(server.told)).toEqual(of(written));
    }
  }
}

test('each server tells every change once, and those of a row in their order, whatever becomes of messages', async () => {
  told = 0;
  missed = 0;
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 60, maxLength: 200, size: 'max' }), run), {
    numRuns: 250,
  });
  // The premise: messages were told, and others did not follow.
  expect(told).toBeGreaterThan(500);
  expect(missed).toBeGreaterThan(100);
});
