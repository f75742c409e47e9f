import { expect, test } from '@jest/globals';
import { STATUS_OF_CODE } from '../../src/http/http-error.js';
import { textOf } from './pages.js';

/** The cells of each row of a page's tables. */
function rowsOf(page: string): string[][] {
  return textOf(page)
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.slice(2, -2).split(' | '));
}

/** `A`, `B` → A, B */
const namesIn = (cell = '') => Array.from(cell.matchAll(/`([^`]+)`/g), ([, name]) => name);

test('docs/server.md has every setting of .env.example, and its default', () => {
  const settings = new Map(
    rowsOf('docs/server.md').flatMap(([names, defaults = '']) => {
      const found = namesIn(names).filter((name) => /^[A-Z_]+$/.test(name ?? ''));
      return found.map((name, place) => [name, found.length > 1 ? defaults.split(', ')[place] : defaults] as const);
    }),
  );
  for (const [, name, value] of textOf('.env.example').matchAll(/^#([A-Z_]+)=(.*)$/gm)) {
    expect([...settings.keys()]).toContain(name);
    if (value && name !== 'DATABASE_URL') expect([name, settings.get(name)]).toEqual([name, value]);
  }
});

test('docs/protocol.md has every error code with its status and its cure', () => {
  const rows = rowsOf('docs/protocol.md').map(([status, code, , cure]) => ({ status, code, cure }));
  for (const [code, status] of Object.entries(STATUS_OF_CODE)) {
    expect(rows).toContainEqual({ status: String(status), code: `\`${code}\``, cure: expect.stringMatching(/\w+/) });
  }
});
