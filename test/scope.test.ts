import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { columnsOf, formatTopic, parseTopic, topicOf } from '../src/scope.js';

describe('a topic', () => {
  test('is a resource, or a resource with columns and their values', () => {
    expect(parseTopic('anmeldung')).toEqual({ resource: 'anmeldung' });
    expect(parseTopic('anmeldung?veranstaltung_id=7')).toEqual({
      resource: 'anmeldung',
      scope: { veranstaltung_id: '7' },
    });
    expect(parseTopic('a?x=')).toEqual({ resource: 'a', scope: { x: '' } });
  });

  test('is printed in one form, whatever the order and encoding that it came in', () => {
    const texts = ['a?x=1%2C2&y=%C3%BC', 'a?y=ü&x=1%2c2', 'a?%79=%c3%bc&%78=%31%2C%32'];
    expect(texts.map((text) => formatTopic(parseTopic(text)))).toEqual(texts.map(() => texts[0]));
  });

  test('keeps + as it is, for a value may be one', () => {
    expect(parseTopic('a?x=+7').scope).toEqual({ x: '+7' });
  });

  test('may have a column with the name of a property that every object has', () => {
    const { scope = {} } = parseTopic('a?__proto__=7&constructor=8');
    expect(Object.entries(scope)).toEqual([
      ['__proto__', '7'],
      ['constructor', '8'],
    ]);
    expect(Object.getPrototypeOf(scope)).toBe(Object.prototype);
    expect(formatTopic({ resource: 'a', scope })).toBe('a?__proto__=7&constructor=8');
  });

  test('sorts columns by their bytes, also numbers and characters beyond U+FFFF', () => {
    const names = ['\u{1F600}', '\uFF21', '10', '9', 'Z', 'a', '!'];
    const scope = Object.fromEntries(names.map((name) => [name, '1']));
    const byPostgres = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(columnsOf(scope)).toEqual(byPostgres);
  });

  test.each([
    ['no pair', 'a?'],
    ['a pair without =', 'a?x'],
    ['an empty pair', 'a?x=1&'],
    ['an empty name', 'a?=1'],
    ['a second =', 'a?x=1=2'],
    ['a second ?', 'a?x=1?y=2'],
    ['no resource', '?x=1'],
    ['every resource', '*?x=1'],
    ['a column twice', 'a?x=1&x=2'],
    ['a column twice, once encoded', 'a?x=1&%78=1'],
    ['a % alone', 'a?x=100%'],
    ['a malformed %', 'a?x=%zz'],
    ['bytes that are not UTF-8', 'a?x=%ff'],
    ['an overlong NUL', 'a?x=%c0%80'],
    ['an encoded surrogate', 'a?x=%ed%a0%80'],
    ['a lone surrogate', 'a?x=\ud800'],
    ['a lone surrogate in a name', 'a?\udc00=1'],
    ['NUL', 'a?x=1%00'],
    ['NUL in a name', 'a?x%00=1'],
    ['a value of 201 bytes', `a?x=${'ü'.repeat(100)}1`],
    ['a value of 8 kB', `a?x=${'1'.repeat(8192)}`],
    ['a name of 201 bytes', `a?${'x'.repeat(201)}=1`],
    ['five columns', 'a?v=1&w=1&x=1&y=1&z=1'],
  ])('is refused with %s', (_, text) => {
    expect(() => parseTopic(text)).toThrow(TypeError);
    expect(() => parseTopic(text)).toThrow(/^scope: expected /);
  });

  test('may have a value of 200 bytes, and four columns', () => {
    expect(parseTopic(`a?x=${'ü'.repeat(100)}`).scope).toEqual({ x: 'ü'.repeat(100) });
    expect(Object.keys(parseTopic('a?w=1&x=1&y=1&z=1').scope ?? {})).toHaveLength(4);
  });

  test('can be made of text, whole numbers and booleans, and of nothing else', () => {
    const { scope } = topicOf('a', { x: 7, y: 9007199254740993n, z: true, w: 'é' });
    expect(scope).toEqual({ x: '7', y: '9007199254740993', z: 'true', w: 'é' });
    for (const value of [7.5, Number.NaN, 2 ** 53, null, undefined, {}, ['7'], Symbol('x')]) {
      expect(() => topicOf('a', { x: value as string })).toThrow(TypeError);
    }
    expect(() => topicOf('a', {})).toThrow(TypeError);
    expect(() => topicOf('a', { x: '\ud800' })).toThrow(TypeError);
  });

  test('comes back from its text, and two have the same text only where they are the same', () => {
    const text = (maxLength: number) =>
      fc.string({ unit: 'grapheme', maxLength }).filter((part) => !part.includes('\0'));
    const name = text(10).filter((part) => part !== '' && Buffer.byteLength(part) <= 200);
    const value = text(20).filter((part) => Buffer.byteLength(part) <= 200);
    const scope = fc.dictionary(name, value, { minKeys: 1, maxKeys: 4, noNullPrototype: true });
    fc.assert(
      fc.property(scope, scope, (one, other) => {
        const [first, second] = [one, other].map((values) => formatTopic({ resource: 'a', scope: values }));
        expect(parseTopic(first as string)).toEqual({ resource: 'a', scope: one });
        expect(first === second).toBe(
          JSON.stringify(Object.entries(one).sort()) === JSON.stringify(Object.entries(other).sort()),
        );
      }),
    );
  });
});
