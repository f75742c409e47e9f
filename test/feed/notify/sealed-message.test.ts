import { randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import {
  type Bound,
  open,
  type SealedMessage,
  seal,
  sealedMessageOf,
} from '../../../src/feed/notify/sealed-message.js';

const key = { term: '0123456789abcdef', key: randomBytes(32) };
const bound: Bound = { channel: 'change_feed', epoch: 'abc', pid: 42 };
const text = Buffer.from('anmeldung 4711 update');
const sealedBy = (number = 1) => seal(text, key, number, bound);

test('a message is read by whoever has its key, and shows nothing of itself but its term and number', () => {
  const sealed = sealedMessageOf(sealedBy(7)) as SealedMessage;
  expect(open(sealed, key.key, bound)).toEqual(text);
  expect(sealed).toMatchObject({ term: key.term, number: 7 });
  expect(sealed.bytes.toString('latin1')).not.toContain('anmeldung');
});

test('the same text is never the same twice in a term', () => {
  const payloads = new Set(Array.from({ length: 300 }, (_, i) => sealedBy(i + 1).slice(24)));
  expect(payloads.size).toBe(300);
});

test.each<[string, Partial<Bound>]>([
  ['another session sends it again', { pid: 43 }],
  ['it is of another epoch', { epoch: 'abd' }],
  ['it is of another channel', { channel: 'change_feeds' }],
  ['two of them change places', { channel: 'abc', epoch: 'change_feed' }],
])('a message cannot be read where %s', (_name, other) => {
  expect(() => open(sealedMessageOf(sealedBy()) as SealedMessage, key.key, { ...bound, ...other })).toThrow();
});

test('a message cannot be read with another key, or after any of its bits was changed', () => {
  expect(() => open(sealedMessageOf(sealedBy()) as SealedMessage, randomBytes(32), bound)).toThrow();
  const bytes = Buffer.from(sealedBy(), 'base64');
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    const sealed = sealedMessageOf(changed.toString('base64'));
    // Of another version, or of a number that no message reaches
    if (!sealed) expect(bit).toBeLessThan(17 * 8);
    else expect(() => open(sealed, key.key, bound)).toThrow();
  }
});

test('what is no message is not taken for one', () => {
  for (const payload of ['', 'look', '0000000000000000', randomBytes(20).toString('base64'), '{}'.repeat(3000)]) {
    expect(sealedMessageOf(payload)).toBeUndefined();
  }
});
