import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { ChangeRow } from '../../../src/feed/log/change-rows.js';
import { decodeMessage, encodeMessage, type News } from '../../../src/feed/notify/message.js';
import { seal } from '../../../src/feed/notify/sealed-message.js';

const position = (xmax: bigint, xip: bigint[] = []) => ({ epoch: 'abc', xmin: xip[0] ?? xmax, xmax, xip });
const news = (rows: readonly ChangeRow[]): News => ({
  kind: 'news',
  stretch: { from: position(10n, [7n]), to: position(2n ** 40n, [2n ** 39n]), rows },
  readAgoMs: 1.25,
  answers: { behind: 3, notifications: -1 },
});
const row = (more: object = {}): ChangeRow => ({
  xid: '123456789',
  resource: 'anmeldung',
  operation: 'update',
  keys: '[9007199254740993]',
  scopes: '{"veranstaltung_id":{"7":[1]}}',
  data: null,
  origin: 'registration\nada\n51c5d132.930K',
  command: 0,
  age_ms: 0.75,
  made: 1,
  ...more,
});
const decoded = (message: News) => decodeMessage(encodeMessage(message) as Buffer, 'abc');

describe('a message', () => {
  test('says what it was given, the positions of any length and columns that nobody here knows among it', () => {
    const text = fc.string({ unit: 'binary', maxLength: 30 });
    const value = fc.oneof(text, fc.integer(), fc.constant(null));
    const rows = fc.array(fc.dictionary(fc.constantFrom('later', 'xid', 'operation'), value), {
      maxLength: 9,
    });
    fc.assert(
      fc.property(rows, fc.uniqueArray(fc.bigInt(1n, 10n ** 6n), { maxLength: 300 }), (given, open) => {
        const xip = open.sort((a, b) => (a < b ? -1 : 1));
        const message = news(given.map((more) => row({ ...more })));
        const whole = { ...message, stretch: { ...message.stretch, to: position(10n ** 7n, xip) } };
        const said = decoded(whole) as News;
        expect(said.stretch.to).toEqual(whole.stretch.to);
        expect(said.stretch.from).toEqual(whole.stretch.from);
        expect({ readAgoMs: said.readAgoMs, answers: said.answers }).toEqual({
          readAgoMs: 1.25,
          answers: whole.answers,
        });
        // A change has all columns that any of them has.
        const columns = new Set(whole.stretch.rows.flatMap((each) => Object.keys(each)));
        const full = Object.fromEntries([...columns].map((column) => [column, null]));
        expect(said.stretch.rows).toEqual(whole.stretch.rows.map((each) => ({ ...full, ...each })));
      }),
    );
  });

  test('leaves out where the read has ended', () => {
    const said = decoded(news([row({ snapshot: '1:2:', epoch: 'abc', horizon: '1:1:', beat: 'leads' })])) as News;
    expect(said.stretch.rows).toEqual([row()]);
  });

  test('holds 200 changes, and does not hold what is longer than a notification', () => {
    const many = Array.from({ length: 200 }, (_, i) => row({ xid: `${i}`, keys: `[${i * 7919}]`, age_ms: i / 7 }));
    expect((decoded(news(many)) as News).stretch.rows).toHaveLength(200);
    const noise = () => Array.from({ length: 40 }, () => Math.random().toString(36)).join('');
    expect(encodeMessage(news(Array.from({ length: 30 }, () => row({ keys: `["${noise()}"]` }))))).toBeUndefined();
    expect(encodeMessage(news([row({ operation: 'emit', data: `"${'a'.repeat(200_000)}"` })]))).toBeUndefined();
  });

  test('has one of five lengths, whatever it says, and fits into a notification', () => {
    const key = { term: '0123456789abcdef', key: Buffer.alloc(32) };
    const lengths = new Set<number>();
    for (let rows = 0; rows < 220; rows += 1) {
      const noise = Array.from({ length: rows }, () => row({ keys: `["${Math.random()}"]` }));
      const text = encodeMessage(news(noise));
      if (!text) continue;
      const payload = seal(text, key, rows + 1, { channel: 'c', epoch: 'e', pid: 1 });
      expect(payload.length).toBeLessThanOrEqual(7900);
      lengths.add(payload.length);
    }
    expect(lengths.size).toBe(4);
    const brief = seal(encodeMessage({ kind: 'read' }) as Buffer, key, 1, { channel: 'c', epoch: 'e', pid: 1 });
    expect(brief.length).toBeLessThan(100);
    expect(
      seal(encodeMessage({ kind: 'vacant' }) as Buffer, key, 1, { channel: 'c', epoch: 'e', pid: 1 }),
    ).toHaveLength(brief.length);
  });

  test('that is malformed is not read', () => {
    for (const text of ['"other"', '[]', '["1:1:","x",1,null,[],[]]', '{}', '[']) {
      const bytes = Buffer.alloc(700);
      bytes.writeUInt16BE(text.length, 1);
      bytes.write(text, 3);
      expect(() => decodeMessage(bytes, 'abc')).toThrow();
    }
  });
});
