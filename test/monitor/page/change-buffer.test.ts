import { expect, test } from '@jest/globals';
import { ChangeBuffer } from '../../../src/monitor/page/change-buffer.js';

// The filter for scopes of the list of changes: a change that it misses looks like one that was not recorded.

const SCOPES: Readonly<Record<string, string>> = {
  quoted: '{"haus":{ "7": [1]}}',
  'two values': '{"haus": {"6": [1], "7": [2, "7"]}}',
  'no keys': '{"haus": ["6","7"]}',
  'another value': '{"haus": {"70": [7]}}',
  'key 7': '{"haus": {"1": [7, "7", [7, "haus"]]}}',
  'two columns': '{"etage&haus": {"[\\"2\\", \\"7\\"]": [1]}}',
  encoded: '{"Stra%C3%9Fe": ["Am {Wall} \\"7\\""]}',
  'cut off': `{"haus": {"7": [${'1, '.repeat(100)}…`,
};

function found(scope: string): string[] {
  const buffer = new ChangeBuffer();
  const changes = Object.entries(SCOPES).map(([resource, scopes]) => {
    return { resource, scopes, agoMs: 0, lagMs: 0, streams: 0, behind: 0 };
  });
  buffer.add({ changes: [...changes, { resource: 'none', agoMs: 0, lagMs: 0, streams: 0, behind: 0 }], skipped: 0 });
  return buffer.list({ resource: '', scope, operation: '', actor: '' }).map(({ resource }) => resource);
}

test.each([
  ['haus=7', ['quoted', 'two values', 'no keys', 'two columns', 'cut off']],
  [' HAUS=70 ', ['another value']],
  ['etage=2', ['two columns']],
  ['haus=7&etage=2', ['two columns']],
  ['haus=7&etage=3', []],
  ['straße=Am%20{Wall}%20"7"', ['encoded']],
])('finds the changes of %s', (scope, expected) => {
  expect(found(scope).sort()).toEqual([...expected].sort());
});

test('finds any other text as it is, and all without one', () => {
  expect(found('wall')).toEqual(['encoded']);
  expect(found(' ')).toHaveLength(Object.keys(SCOPES).length + 1);
});
