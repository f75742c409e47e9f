import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { packageRoot } from '../../src/package-root.js';
import { describeInBrowser } from '../app/web/browser.js';
import { folderWith, type Packed, pack } from '../package/packed.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { until } from '../until.js';
import { type AppServer, serveApp } from './app-server.js';

// Pages of React, Svelte and Vue, built by Vite from the packed tarball, beside a feed that runs.

const run = promisify(execFile);
const APPS = join(packageRoot, 'test/frameworks/apps');
/** For each framework the packages of the page beside the tarball, and Vite's configuration. */
const FRAMEWORKS: Record<string, { packages: string[]; config: string }> = {
  react: { packages: ['react@19', 'react-dom@19', '@tanstack/react-query@5'], config: 'export default {};' },
  svelte: {
    packages: ['svelte@5', '@sveltejs/vite-plugin-svelte@7', '@tanstack/query-core@5'],
    config: `import { svelte } from '@sveltejs/vite-plugin-svelte'; export default { plugins: [svelte()] };`,
  },
  vue: { packages: ['vue@3', '@tanstack/vue-query@5'], config: 'export default {};' },
};

let folder: string;
let packed: Packed;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pg-change-feed-apps-'));
  packed = await pack(folder);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describeInBrowser('a page built by Vite', (pages) => {
  let server: TestServer;
  let app: AppServer | undefined;

  beforeEach(async () => {
    server = await startTestServer();
    for (const table of ['a', 'b']) {
      await server.psql(`create table ${table} (id int primary key)`);
      await server.psql(`select change_feed.watch('${table}')`);
    }
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
    await server.stop();
  });

  /** Installs, builds, and serves the page of a framework. */
  async function build(framework: string): Promise<AppServer> {
    const { packages = [], config = '' } = FRAMEWORKS[framework] ?? {};
    const page = join(folder, framework);
    const versions = [...packages, 'vite@8'].map((name) => [
      name.slice(0, name.lastIndexOf('@')),
      name.split('@').at(-1),
    ]);
    await folderWith(page, { ...Object.fromEntries(versions), 'pg-change-feed': `file:${packed.tarball}` });
    await cp(join(APPS, framework), page, { recursive: true });
    await cp(join(APPS, 'index.html'), join(page, 'index.html'));
    await writeFile(join(page, 'vite.config.js'), config);
    await run(join(page, 'node_modules/.bin/vite'), ['build'], { cwd: page });
    expect(await readdir(join(page, 'dist'))).toContain('index.html');
    return serveApp(join(page, 'dist'), server.url, async (table) => {
      const { rows } = await server.psql(`select count(*)::int as n from ${table}`);
      return rows[0].n;
    });
  }

  const textOf = (page: Page) => page.locator('p').innerText();
  const shows = (page: Page, text: string) => until(async () => (await textOf(page)) === text, `${text} on the page`);
  const subscriptions = () =>
    [...server.manager.clients()]
      .flatMap((client) => [...client.subscriptions.keys()])
      .sort()
      .join();

  test.each(Object.keys(FRAMEWORKS))(
    '%s: a write by psql reaches it, a changed name is followed, and nothing after it is gone',
    async (framework) => {
      app = await build(framework);
      const token = await server.token();
      const page = await pages.open(app.url, {
        prepare: (tab) => tab.addInitScript(`localStorage.jwt = '${token}'`),
      });
      await shows(page, 'connected a keys= rows=0');
      await server.psql('insert into a values (7)');
      await shows(page, 'connected a keys=7 rows=1');
      await page.getByText('other').click();
      await until(() => subscriptions().split(',').includes('b'), 'a subscription of b');
      await until(async () => (await textOf(page)).endsWith('rows=0'), 'the rows of b');
      await server.psql('insert into a values (8)');
      await server.psql('insert into b values (9)');
      await until(async () => /^connected b keys=.*9 rows=1$/.test(await textOf(page)), 'the row of b');
      expect(await textOf(page)).not.toContain('8');
      expect([...server.manager.clients()]).toHaveLength(1);
      await page.getByText('none').click();
      await until(() => subscriptions() === '', 'no subscription');
    },
    300_000,
  );
});
