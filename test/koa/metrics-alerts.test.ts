import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { createChangeFeed } from '../../src/http/create-change-feed.js';
import { changeFeedMetrics } from '../../src/http/metrics.js';
import { packageRoot } from '../../src/package-root.js';

const installed = spawnSync('promtool', ['--version']).status === 0;
// CI installs it, and must not pass without.
if (!installed && process.env.CI) throw new Error('promtool is missing: apt-get install prometheus');
if (!installed) console.warn('Skipped, for promtool is missing: apt-get install prometheus');

const at = (file: string) => join(packageRoot, file);
let rules: string;
let alerts: string[];

beforeAll(async () => {
  rules = await readFile(at('ops/alerts.yml'), 'utf8');
  alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name ?? '');
});

(installed ? test : test.skip)('each alert fires when it should, and not before', async () => {
  const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', at('ops/alerts.test.yml')], {
    encoding: 'utf8',
  });
  expect({ status, stderr, stdout }).toMatchObject({ status: 0, stderr: '' });
  const tests = await readFile(at('ops/alerts.test.yml'), 'utf8');
  expect(alerts.filter((name) => !tests.includes(`- name: ${name}\n`))).toEqual([]);
});

test('they watch metrics that exist', async () => {
  const feed = createChangeFeed({ databaseUrl: 'postgres://127.0.0.1:1/none', logger: pino({ level: 'silent' }) });
  const text = await changeFeedMetrics(feed).metrics();
  await feed.stop();
  const known = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
  const watched = [...rules.matchAll(/\b((?:pg_change_feed|nodejs)_\w+)/g)].map(([, name]) => name ?? '');
  expect(watched.length).toBeGreaterThan(10);
  expect(watched.filter((name) => !known.includes(name.replace(/_bucket$/, '')))).toEqual([]);
});

test('docs/ops.md says of each what it means', async () => {
  const manual = await readFile(at('docs/ops.md'), 'utf8');
  expect(alerts.filter((name) => !manual.includes(`\`${name}\``))).toEqual([]);
});
