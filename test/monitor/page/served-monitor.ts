import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { packageRoot } from '../../../src/package-root.js';
import type { Pages } from '../../app/web/browser.js';
import type { TestServer } from '../../running-server.js';

/**
 * The time within which the page says what is wrong, in ms. Two seconds are promised, and held on a machine with nothing else to
 * do: MONITOR_SAID_MS=2000. These tests share theirs with others.
 */
const SAID_WITHIN_MS = Number(process.env.MONITOR_SAID_MS ?? 20_000);

/** Opens the monitor of a server, and waits until it is live. */
export async function openMonitor(
  pages: Pages,
  server: TestServer,
  { url = server.url, ...options }: { url?: string } & Parameters<Pages['open']>[1] = {},
): Promise<Page> {
  const token = await server.token({ sub: 'admin', monitor: true });
  const page = await pages.open(`${url}/monitor#token=${token}`, { timezoneId: 'Europe/Berlin', ...options });
  await page.locator('.status[data-status=live]').waitFor();
  return page;
}

/** Expects that the page says it soon after the fault: see {@link SAID_WITHIN_MS}. */
export async function expectSaid(page: Page, text: RegExp, since: number): Promise<void> {
  await page.locator('.alarms li', { hasText: text }).first().waitFor();
  const ms = performance.now() - since;
  if (ms > SAID_WITHIN_MS) throw new Error(`The page said ${text} after ${Math.round(ms)} ms`);
}

/** A server in a process of its own, which may be killed. */
export interface OwnProcess {
  readonly child: ChildProcess;
  readonly url: string;
  kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void;
}

/** Starts `pg-change-feed serve` as an operator does. */
export async function serveInProcess(server: TestServer, port = 0): Promise<OwnProcess> {
  const child = spawn(process.execPath, [join(packageRoot, 'dist/src/cli.js'), 'serve'], {
    cwd: '/',
    env: {
      PATH: process.env.PATH,
      PORT: String(port),
      HOST: '127.0.0.1',
      DATABASE_URL: server.database.url,
      JWT_SECRET: server.secret,
      MONITOR: 'on',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  for (;;) {
    const [, url] = /"url":"([^"]+)"/.exec(said) ?? [];
    if (url) return { child, url, kill: (signal) => void child.kill(signal) };
    await Promise.race([once(child.stdout, 'data'), once(child, 'exit').then(() => Promise.reject(new Error(said)))]);
  }
}
