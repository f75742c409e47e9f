import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../src/package-root.js';

/** Where the wall clock is right: a moment that others read, or that outlives the process. All else is a duration. */
const WALL_CLOCK = [
  // iat and exp of a JWT are seconds since 1970 (RFC 7519, 4.1).
  'src/http/token.ts',
  // The end of a token is such a moment.
  'src/streams/expiry.ts',
  'src/http/handlers/poll.ts',
  // When a change was made, for people and programs.
  'src/commands/tail-lines.ts',
  // Since when a process holds a folder, for the sentence that names it.
  'src/embedded/embedded-postgres.ts',
  // Dates of events and registrations.
  'src/app/seed.ts',
  'src/app/web/anmeldungen/warnings.ts',
  'src/app/web/veranstaltungen/VeranstaltungForm.vue',
];

test('no duration is measured by the wall clock, which may be set', async () => {
  const found: string[] = [];
  for (const entry of await readdir(join(packageRoot, 'src'), { recursive: true })) {
    if (!/\.(tsx?|vue)$/.test(entry)) continue;
    const text = await readFile(join(packageRoot, 'src', entry), 'utf8');
    if (/\bDate\.now\b|\bnew Date\(\)|\bDate\(\)/.test(text)) found.push(`src/${entry}`);
  }
  expect(found.sort()).toEqual([...WALL_CLOCK].sort());
});
