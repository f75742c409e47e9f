import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../src/package-root.js';

/** Where the wall clock is right: a moment that others read, or that outlives the process. All else is a duration. */
const WALL_CLOCK = {
  // iat and exp of a JWT are seconds since 1970 (RFC 7519, 4.1).
  'src/http/token.ts': 1,
  // The end of a token is such a moment.
  'src/streams/expiry.ts': 2,
  // Retry-After may be a date (RFC 9110, 10.2.3).
  'src/client/retry.ts': 1,
  // A moment that an application shows to people.
  'src/client/sse-service.ts': 1,
  // When a change was made, for people and programs.
  'src/commands/tail-lines.ts': 1,
  // Since when a process holds a folder, for the sentence that names it.
  'src/embedded/embedded-postgres.ts': 1,
  // Dates of the demo.
  'src/app/seed.ts': 3,
  'src/app/web/VeranstaltungForm.vue': 1,
};

test('no duration is measured by the wall clock, which may be set', async () => {
  const found: Record<string, number> = {};
  for (const entry of await readdir(join(packageRoot, 'src'), { recursive: true })) {
    if (!/\.(ts|vue)$/.test(entry)) continue;
    const text = await readFile(join(packageRoot, 'src', entry), 'utf8');
    const uses = text.match(/\bDate\.now\b|\bnew Date\(\)|\bDate\(\)|performance\.timeOrigin/g) ?? [];
    if (uses.length > 0) found[`src/${entry}`] = uses.length;
  }
  expect(found).toEqual(WALL_CLOCK);
});
