import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { createChangeFeed } from '../../src/http/create-change-feed.js';
import { changeFeedMetrics } from '../../src/http/metrics.js';
import { packageRoot } from '../../src/package-root.js';

// The dashboard of Grafana asks for metrics that there are, in expressions that Prometheus can read.

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string }[];
}

const OWN = /\b(pg_change_feed_\w+|nodejs_\w+|process_\w+)/g;

let panels: readonly Panel[];
let expressions: readonly string[];

beforeAll(async () => {
  const text = await readFile(join(packageRoot, 'ops/grafana-dashboard.json'), 'utf8');
  panels = JSON.parse(text).panels;
  expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
});

/** The text of `/metrics`, of a server without a database. */
async function metricsText(): Promise<string> {
  const feed = createChangeFeed({ databaseUrl: 'postgres://127.0.0.1:1/none', logger: pino({ level: 'silent' }) });
  try {
    return await changeFeedMetrics(feed).metrics();
  } finally {
    await feed.stop();
  }
}

test('it shows metrics that exist, and all of the feed', async () => {
  const text = await metricsText();
  const known = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name ?? '');
  const shown = expressions.flatMap((each) => [...each.matchAll(OWN)].map(([, name]) => name ?? ''));
  expect(shown.length).toBeGreaterThan(20);
  const names = new Set(shown.map((name) => name.replace(/_(bucket|sum|count)$/, '')));
  expect([...names].filter((name) => !known.includes(name))).toEqual([]);
  expect(known.filter((name) => name.startsWith('pg_change_feed_') && !names.has(name))).toEqual([]);
});

test('it groups by labels that the metrics have', async () => {
  const text = await metricsText();
  const known = new Set(Array.from(text.matchAll(/[{,](\w+)=/g), ([, label]) => label ?? ''));
  const grouped = expressions.flatMap((each) => [...each.matchAll(/by \(([\w, ]+)\)/g)].map(([, list]) => list ?? ''));
  const labels = grouped.flatMap((list) => list.split(', '));
  // Prometheus adds the server's address; subscriptions have a series for each resource that somebody follows.
  expect(labels.filter((label) => !['instance', 'resource'].includes(label) && !known.has(label))).toEqual([]);
});

test('each panel says what it shows, and none lies on another', () => {
  const boxes = panels.filter(({ type }) => type !== 'row');
  expect(boxes.filter(({ description }) => !description).map(({ title }) => title)).toEqual([]);
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const taken = new Map<string, string>();
  for (const { title, gridPos } of panels) {
    expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
        expect([title, taken.get(`${x} ${y}`)]).toEqual([title, undefined]);
        taken.set(`${x} ${y}`, title);
      }
    }
  }
});

const installed = spawnSync('promtool', ['--version']).status === 0;
if (!installed && process.env.CI) throw new Error('promtool is missing: apt-get install prometheus');

(installed ? test : test.skip)('Prometheus can read each expression', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'dashboard-'));
  try {
    const rules = expressions.map((each, place) => ({
      record: `panel:expression:number_${place}`,
      // As Grafana fills its variables in
      expr: each.replaceAll('$__rate_interval', '1m').replaceAll(/\$(job|instance)/g, '.*'),
    }));
    const file = join(folder, 'rules.yml');
    await writeFile(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
    const { status, stderr } = spawnSync('promtool', ['check', 'rules', file], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  } finally {
    await rm(folder, { recursive: true });
  }
});
