import { afterEach, expect, test } from '@jest/globals';
import type { FeedMessage } from '../../src/client/message.js';
import { IDLE } from '../../src/client/status.js';
import { Tabs } from '../../src/client/tabs.js';
import { until } from '../until.js';

// Tabs that talk over a BroadcastChannel. Node has no locks, so a lease decides, as on plain HTTP to another host.

/** A tab, and what it was told. */
interface Tab {
  readonly tabs: Tabs;
  topics: readonly string[];
  readonly told: FeedMessage[];
  leads: boolean;
  solo: boolean;
}

let opened: Tab[] = [];
let names = 0;

afterEach(() => {
  for (const { tabs } of opened) tabs.leave();
  opened = [];
  names += 1;
});

function open(...topics: string[]): Tab {
  const tab: Omit<Tab, 'tabs'> = { topics, told: [], leads: false, solo: false };
  const tabs = new Tabs(`test ${names}`, {
    topics: () => tab.topics,
    position: () => 'e.1:1:',
    state: () => IDLE,
    brings: () => false,
    lead: () => {
      tab.leads = true;
    },
    follow: () => {
      tab.leads = false;
    },
    apply: (message) => tab.told.push(message),
    wantsChanged: () => {},
    wake: () => {},
    solo: () => {
      tab.solo = true;
      tabs.leave();
    },
  });
  const whole = Object.assign(tab, { tabs });
  opened.push(whole);
  return whole;
}

const many = (name: string, count: number) => Array.from({ length: count }, (_, i) => `${name} ${i}`);
const knows = (leader: Tab, ...topics: string[]) =>
  until(() => topics.every((topic) => leader.tabs.wanted.includes(topic)), `a leader that knows of ${topics}`);

/** Opens a tab that leads, and one after the other those that follow. */
async function openBeside(...tabs: string[][]): Promise<[Tab, ...Tab[]]> {
  const leader = open(...(tabs[0] ?? []));
  await until(() => leader.leads, 'a leader');
  const others: Tab[] = [];
  for (const topics of tabs.slice(1)) {
    others.push(open(...topics));
    await knows(leader, ...topics);
  }
  return [leader, ...others];
}

test('a spread counts the tabs that refetch: each has its random part of so many times the server’s', async () => {
  const [leader, one, two] = await openBeside(['a'], ['a?x=7', 'c'], ['b', '*'], ['b', 'd']);
  const pass = (resource: string, spread?: number) =>
    leader.tabs.pass({ type: 'change', change: { resource, ...(spread && { spread }) } });
  expect(pass('a', 200)).toEqual({ type: 'change', change: { resource: 'a', spread: 600 } });
  expect(pass('b', 200)).toEqual({ type: 'change', change: { resource: 'b', spread: 400 } });
  expect(pass('a', 9000)).toEqual({ type: 'change', change: { resource: 'a', spread: 10_000 } });
  expect(pass('a')).toEqual({ type: 'change', change: { resource: 'a' } });
  for (const tab of [one, two] as Tab[]) {
    const spreads = () => tab.told.flatMap((message) => (message.type === 'change' ? [message.change.spread] : []));
    await until(() => spreads().length === 4, 'the changes');
    expect(spreads()).toEqual([600, 400, 10_000, undefined]);
  }
});

test('what is too much for one stream goes to the tab that came last', async () => {
  const [leader, one] = await openBeside(many('a', 50), many('b', 50));
  const last = open(...many('a', 10), 'c');
  await until(() => last.solo, 'a tab with a stream of its own');
  expect([leader.solo, one?.solo]).toEqual([false, false]);
  expect(new Set([...leader.topics, ...leader.tabs.wanted]).size).toBe(100);
  // The leader needs more itself: the others give way.
  leader.topics = [...leader.topics, 'd'];
  leader.tabs.changed();
  await until(() => one?.solo === true, 'another one');
  expect(leader.tabs.wanted).toEqual([]);
});

test('a tab that wants more than fits goes, and not those that were there', async () => {
  const [leader, one, two] = (await openBeside(['a'], many('b', 60), many('c', 20))) as [Tab, Tab, Tab];
  one.topics = many('b', 90);
  one.tabs.changed();
  await until(() => one.solo, 'a tab with a stream of its own');
  expect([leader.solo, two.solo]).toEqual([false, false]);
  expect(leader.tabs.wanted).toEqual(two.topics);
});
