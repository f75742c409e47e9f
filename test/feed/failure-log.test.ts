import { beforeEach, describe, expect, test } from '@jest/globals';
import { backoffMs, LONGEST_BACKOFF_MS } from '../../src/feed/backoff.js';
import { FailureLog } from '../../src/feed/failure-log.js';

const READ = 'the log could not be read';
const LEAD = 'the session of the leader failed';

let now: number;
let lines: string[];
let log: FailureLog;

beforeEach(() => {
  now = 0;
  lines = [];
  const write = (fields: { failures: number }, text: string) => lines.push(`${text} (${fields.failures})`);
  log = new FailureLog({ debug: () => {}, info: write, warn: write, error: write } as never, () => now);
});

const failure = (code: string, message = 'it failed') => Object.assign(new Error(message), { code });

test('a cause is logged once, whatever fails by it, and so is the end', () => {
  for (; now < 30_000; now += 100) {
    log.failed(READ, failure('ECONNREFUSED', 'connect ECONNREFUSED ::1:5432'));
    log.failed(LEAD, failure('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:5432'));
    log.failed('the connection that listens failed');
  }
  expect(lines).toEqual([`${READ} (1)`]);
  log.succeeded(READ);
  log.succeeded(LEAD);
  expect(lines).toHaveLength(1);
  log.succeeded('the connection that listens failed');
  expect(lines).toEqual([`${READ} (1)`, 'the database can be used again (899)']);
  log.succeeded(READ);
  expect(lines).toHaveLength(2);
});

test('a reminder follows each minute, with the count', () => {
  for (; now <= 120_000; now += 1000) log.failed(READ, failure('ECONNREFUSED'));
  expect(lines).toEqual([`${READ} (1)`, `${READ} (60)`, `${READ} (60)`]);
});

test('another cause is logged at once; numbers in a text make none', () => {
  log.failed(READ, failure('57P01', 'terminating connection 12'));
  log.failed(READ, failure('57P01', 'terminating connection 13'));
  log.failed(READ, failure('ECONNREFUSED'));
  log.failed(READ, failure('57P03'));
  expect(lines).toHaveLength(3);
});

test('an outage after another is logged at once', () => {
  log.failed(READ, failure('ECONNREFUSED'));
  log.succeeded(READ);
  log.failed(READ, failure('ECONNREFUSED'));
  log.succeeded(READ);
  expect(lines).toHaveLength(4);
});

describe('four failures a minute at the most', () => {
  test.each<[string, (attempt: number) => void]>([
    ['where each has another cause', (attempt) => log.failed(READ, new Error('x'.repeat(attempt % 100)))],
    ['where it comes and goes', () => [log.failed(READ, failure('57P01')), log.succeeded(READ)]],
    ['of single requests', (attempt) => log.happened('a request failed', new Error('y'.repeat(attempt % 100)))],
  ])('%s', (_name, once) => {
    for (let attempt = 0; attempt < 600; attempt += 1, now += 100) once(attempt);
    expect(lines.filter((line) => !line.includes('used again'))).toHaveLength(4);
    // Only what was logged as failed is logged as over.
    expect(lines.length).toBeLessThanOrEqual(8);
  });
});

test('the pause grows up to the longest, and no two are the same', () => {
  const pauses = Array.from({ length: 2000 }, (_, i) => backoffMs(i + 1));
  expect(pauses[0]).toBeLessThanOrEqual(100);
  expect(Math.min(...pauses.slice(5))).toBeGreaterThanOrEqual(LONGEST_BACKOFF_MS * 0.8);
  expect(Math.max(...pauses)).toBeLessThanOrEqual(LONGEST_BACKOFF_MS);
  expect(new Set(pauses).size).toBeGreaterThan(1000);
});
