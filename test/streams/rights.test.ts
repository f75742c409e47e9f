import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseTopic } from '../../src/scope.js';
import { authorizeByRights, type Rights } from '../../src/streams/rights.js';

/** Returns whether rights allow a topic, as text. */
function allows(rights: Rights, text: string): boolean {
  const { resource, scope } = parseTopic(text);
  return authorizeByRights(rights, resource, scope);
}

describe('a right', () => {
  test('to a resource includes each of its scopes', () => {
    expect(allows(['anmeldung'], 'anmeldung?mandant_id=9')).toBe(true);
    expect(allows('*', 'anmeldung?mandant_id=9')).toBe(true);
    expect(allows(['*'], 'anmeldung?mandant_id=9')).toBe(true);
  });

  test('to a scope includes scopes with more conditions, in any order and encoding', () => {
    for (const topic of ['a?mandant_id=9', 'a?mandant_id=9&projekt_id=7', 'a?aaa=1&mandant_id=%39']) {
      expect(allows(['b', 'a?mandant_id=9'], topic)).toBe(true);
    }
    expect(allows(['a?projekt_id=7&mandant_id=9'], 'a?mandant_id=9&projekt_id=7')).toBe(true);
  });

  test.each([
    ['the whole resource', 'a?mandant_id=9', 'a'],
    ['another value', 'a?mandant_id=9', 'a?mandant_id=8'],
    ['a longer value', 'a?mandant_id=9', 'a?mandant_id=99'],
    ['another column', 'a?mandant_id=9', 'a?projekt_id=9'],
    ['a part of its conditions', 'a?mandant_id=9&projekt_id=7', 'a?mandant_id=9'],
    ['the same scope of another resource', 'a?mandant_id=9', 'b?mandant_id=9'],
    ['another text for the same number', 'a?mandant_id=9', 'a?mandant_id=09'],
    ['the same text in another Unicode form', 'a?name=caf%C3%A9', 'a?name=cafe%CC%81'],
    ['a letter that looks alike', 'a?name=a', 'a?name=%D0%B0'],
    ['a column with the name of a property that every object has', 'a?constructor=1', 'a?mandant_id=9'],
    ['an empty value', 'a?mandant_id=', 'a?mandant_id=9'],
    ['any value, where it names an empty one', 'a?mandant_id=9', 'a?mandant_id='],
  ])('does not include %s', (_, granted, topic) => {
    expect(allows([granted], topic)).toBe(false);
  });

  test('never includes another tenant, whatever else a subscription asks for', () => {
    const columns = fc.constantFrom('mandant_id', 'projekt_id', '__proto__', 'constructor');
    const scope = fc.dictionary(columns, fc.constantFrom('7', '8', '', 'toString'), {
      minKeys: 1,
      noNullPrototype: true,
    });
    fc.assert(
      fc.property(scope, scope, (granted, asked) => {
        const text = Object.entries(granted)
          .map((pair) => pair.join('='))
          .join('&');
        const included = Object.entries(granted).every(([column, value]) =>
          Object.entries(asked).some(([name, other]) => name === column && other === value),
        );
        expect(authorizeByRights([`a?${text}`], 'a', asked)).toBe(included);
      }),
    );
  });

  test('may be a function, which decides on scopes itself', () => {
    const rights: Rights = (resource, scope) => resource === 'a' && scope?.mandant_id === '9';
    expect(allows(rights, 'a?mandant_id=9&projekt_id=7')).toBe(true);
    expect(allows(rights, 'a?mandant_id=8')).toBe(false);
    expect(allows(rights, 'a')).toBe(false);
  });

  test('that is malformed allows nothing', () => {
    expect(() => allows(['a?mandant_id=%'], 'a?mandant_id=9')).toThrow(TypeError);
  });
});
