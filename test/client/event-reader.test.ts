import { expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { EventReader } from '../../src/client/event-reader.js';

function read(parts: readonly Uint8Array[]): string[] {
  const heard: string[] = [];
  const reader = new EventReader({
    onEvent: ({ event, data }) => heard.push(`${event} ${data}`),
    onId: (id) => heard.push(`id ${id}`),
    onRetry: (ms) => heard.push(`retry ${ms}`),
  });
  for (const part of parts) reader.feed(part);
  return heard;
}

const STREAM = [
  '\uFEFFretry: 2140',
  '',
  'id: e.1:1:',
  'event: connected',
  'data: {"a":"Müller 🎉"}',
  '',
  '',
  'event: table-update',
  'data: one',
  'data:two',
  'id:e.2:2:',
  '',
  ': heartbeat',
  'id: e.3:3:',
  '',
  'data: Ende',
  '',
  'id: with\0nul',
  'data: kept',
  '',
  'id',
  'data: no id any more',
  '',
  'id: cut off',
  'data: cut off',
].join('\n');

const HEARD = [
  'retry 2140',
  'connected {"a":"Müller 🎉"}',
  'id e.1:1:',
  'table-update one\ntwo',
  'id e.2:2:',
  'id e.3:3:',
  'message Ende',
  'message kept',
  'message no id any more',
  'id ',
];

test.each([
  ['LF', '\n'],
  ['CR', '\r'],
  ['CRLF', '\r\n'],
])('reads the same events however the bytes are cut, also in the middle of a character: %s', (_name, end) => {
  const bytes = Buffer.from(STREAM.replaceAll('\n', end));
  expect(read([bytes])).toEqual(HEARD);
  expect(read(Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual(HEARD);
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length)), (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
      expect(read(at.slice(1).map((to, i) => bytes.subarray(at[i], to)))).toEqual(HEARD);
    }),
  );
});

test('an event of a megabyte in small pieces', () => {
  const data = 'x'.repeat(2 ** 20);
  const bytes = Buffer.from(`data: ${data}\n\n`);
  const parts = Array.from({ length: Math.ceil(bytes.length / 1000) }, (_, i) =>
    bytes.subarray(i * 1000, (i + 1) * 1000),
  );
  expect(read(parts)).toEqual([`message ${data}`]);
});
