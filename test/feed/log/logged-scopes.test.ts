import { describe, expect, test } from '@jest/globals';
import type { ChangedValues, LoggedChange } from '../../../src/change.js';
import { statementOf, statementOfNothing, statementOfValue } from '../../../src/feed/log/logged-scopes.js';

const change: LoggedChange = { resource: 'a', operation: 'update', xid: 7n };

function valuesOf(text: string, columns: string): Record<string, string | undefined> | undefined {
  const values = statementOf(change, text).valuesOf(columns);
  return values && Object.fromEntries(values.keys);
}

describe('the scopes of a statement', () => {
  test('are values with the keys of their rows, exactly as recorded', () => {
    const text = '{"mandant_id": {"7": [1, 20000000000000001, 1.0, "],{"], "8": [[1, "x"]]}}';
    expect(valuesOf(text, 'mandant_id')).toEqual({ 7: '[1, 20000000000000001, 1.0, "],{"]', 8: '[[1, "x"]]' });
  });

  test('are values alone', () => {
    expect(valuesOf('{"mandant_id":["7","a,]b"]}', 'mandant_id')).toEqual({ 7: undefined, 'a,]b': undefined });
  });

  test('of several columns have one text, whatever spaces the log has', () => {
    const text = String.raw`{"a&b": {"[\"9\", \"7\"]": [1], "[\"9\",\"ü\\\"\"]": [2]}}`;
    expect(valuesOf(text, 'a&b')).toEqual({ '["9","7"]': '[1]', '["9","ü\\""]': '[2]' });
  });

  test('may have the names of properties that every object has', () => {
    const text = '{"__proto__":{"__proto__":[1],"constructor":[2]}}';
    expect(statementOf(change, text).valuesOf('__proto__')?.keys).toEqual(
      new Map([
        ['__proto__', '[1]'],
        ['constructor', '[2]'],
      ]),
    );
    expect(valuesOf(text, 'constructor')).toBeUndefined();
  });

  test('are not known where they are missing, but of an own event nobody is concerned', () => {
    expect(valuesOf('{"mandant_id":{}}', 'mandant_id')).toEqual({});
    expect(valuesOf('{"mandant_id":{}}', 'projekt_id')).toBeUndefined();
    expect(statementOf({ ...change, operation: 'emit' }, '{}').valuesOf('projekt_id')?.keys.size).toBe(0);
  });

  test('say whether there were several values, also where some were left out of the read', () => {
    const several = (values?: ChangedValues) => values?.several;
    expect(several(statementOf(change, '{"m":{"7":[1]}}').valuesOf('m'))).toBe(false);
    expect(several(statementOf(change, '{"m":["7","8"]}').valuesOf('m'))).toBe(true);
    const one = statementOfValue(change, { columns: 'm', value: '7', keys: '[1]', several: true });
    expect(several(one.valuesOf('m'))).toBe(true);
    expect(one.valuesOf('n')?.keys.size).toBe(0);
  });

  test('that were summed up are known of some columns', () => {
    const statement = statementOfNothing({ resource: 'a' }, ['m']);
    expect(statement.valuesOf('m')?.keys.size).toBe(0);
    expect(statement.valuesOf('n')).toBeUndefined();
  });
});
