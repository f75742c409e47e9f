import { expect, test } from '@jest/globals';
import type { Position } from '../../src/feed/log/position.js';
import type { Client } from '../../src/streams/client.js';
import { Replay } from '../../src/streams/replay.js';
import type { Subscription } from '../../src/streams/subscription.js';

// Clients share the events of a read only where each of them missed all that was read.

const client = {} as Client;
const at = (xid: bigint): Position => ({ epoch: 'e', xmin: xid, xmax: xid, xip: [] }) as never;
const subscribed = (...topics: string[]) =>
  new Map(topics.map((topic): [string, Subscription] => [topic, { client, topic }]));

function replayOf(subscriptions: ReadonlyMap<string, Subscription>, ...starts: Position[]): Replay {
  const replay = new Replay();
  for (const [i, subscription] of [...subscriptions.values()].entries()) {
    replay.add(starts[i] ?? (starts[0] as Position), [subscription]);
  }
  return replay;
}

const start = at(7n);

test.each([
  ['whole resources from one position missed all', subscribed('a', 'b'), [start], true],
  ['one from a later position has seen a part', subscribed('a', 'b'), [start, at(9n)], false],
  ['a scope missed its own part', subscribed('a', 'b?x=1'), [start], false],
  ['* missed what its rights allow', subscribed('*'), [start], false],
] as const)('%s', (_name, subscriptions, starts, all) => {
  expect(replayOf(subscriptions, ...starts).missedAll(subscriptions)).toBe(all);
});

test('a subscription that was ended meanwhile receives nothing', () => {
  const subscriptions = subscribed('a', 'b');
  const replay = replayOf(subscriptions, start);
  subscriptions.delete('b');
  expect(replay.missedAll(subscriptions)).toBe(false);
});
