import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { RunningServer } from '../../../src/koa/server.js';
import { describeInBrowser } from '../../app/web/browser.js';
import { RefusingPostgres } from '../../refusing-postgres.js';
import { useTestServer } from '../../running-server.js';
import { until } from '../../until.js';
import { expectSaid, type OwnProcess, openMonitor, serveInProcess } from './served-monitor.js';

// Two servers, writers, and a fault: the page says so within two seconds.

const server = useTestServer({ monitor: true, readIntervalMs: 1000 });
let door: RefusingPostgres;
let faulty: RunningServer;
let writing: NodeJS.Timeout;
let processes: OwnProcess[] = [];
let slow: Socket | undefined;

beforeAll(async () => {
  await server.psql(`create table zimmer (id int primary key, n int); select change_feed.watch('zimmer');
    insert into zimmer values (1, 0)`);
});

beforeEach(async () => {
  door = await RefusingPostgres.before(server.database.url);
  faulty = await server.another({ databaseUrl: door.url });
  writing = setInterval(() => void server.psql('update zimmer set n = n + 1').catch(() => {}), 50);
});

afterEach(async () => {
  clearInterval(writing);
  slow?.destroy();
  for (const { child } of processes) child.kill('SIGKILL');
  processes = [];
  await door.relent();
  await faulty.stop();
  await server.psql('delete from change_feed.server_report where id <> $1', [server.feed.instanceId]);
  await door.close();
});

async function inProcess(port?: number): Promise<OwnProcess> {
  const own = await serveInProcess(server, port);
  processes.push(own);
  return own;
}

describeInBrowser('the page says', (pages) => {
  test('that a server was killed', async () => {
    const page = await openMonitor(pages, server);
    const own = await inProcess();
    await page.locator('[data-server][data-answer=ok]').nth(2).waitFor();
    own.kill('SIGKILL');
    await expectSaid(page, new RegExp(`:${own.child.pid}\\) antwortet nicht`), performance.now());
    await page.locator(`[data-server]:has-text(":${own.child.pid}")`).locator('text=antwortet nicht').waitFor();
    // The others still do.
    expect(await page.locator('[data-server][data-answer=ok]').count()).toBe(2);
  });

  test('nothing of a server that was stopped as it should be', async () => {
    const page = await openMonitor(pages, server);
    const third = await server.another();
    await page.locator(`[data-server="${third.feed.instanceId}"][data-answer=ok]`).waitFor();
    await third.stop();
    await page.locator(`[data-server="${third.feed.instanceId}"]`).waitFor({ state: 'detached' });
    expect(await page.locator('.alarms li.fail').allTextContents()).toEqual([]);
  });

  test('that another server is deaf', async () => {
    const page = await openMonitor(pages, server);
    await page.locator(`[data-server="${faulty.feed.instanceId}"][data-answer=ok]`).waitFor();
    await door.refuse({ error: '42501', message: 'no LISTEN today', statement: /\bLISTEN\b/i });
    await until(() => !faulty.feed.health.listener, 'the server to be deaf');
    await expectSaid(page, new RegExp(`Server ${faulty.feed.instanceId} .* ist taub`), performance.now());
  });

  test('that its own server is deaf, and still knows the others', async () => {
    const page = await openMonitor(pages, server, { url: faulty.url });
    await page.locator('[data-server][data-answer=ok]').nth(1).waitFor();
    await door.refuse({ error: '42501', message: 'no LISTEN today', statement: /\bLISTEN\b/i });
    await until(() => !faulty.feed.health.listener, 'the server to be deaf');
    await expectSaid(page, new RegExp(`Server ${faulty.feed.instanceId} .* ist taub`), performance.now());
    await page.locator(`[data-server="${server.feed.instanceId}"][data-answer=ok]`).waitFor();
  });

  test('that its own server cannot read the log', async () => {
    const page = await openMonitor(pages, server, { url: faulty.url });
    await door.refuse('closes');
    await until(() => !faulty.feed.health.database, 'a read that fails');
    await expectSaid(page, /kann das Protokoll nicht lesen/, performance.now());
  });

  test('that a reader at the other server is slow', async () => {
    const page = await openMonitor(pages, server);
    await page.locator(`[data-server="${faulty.feed.instanceId}"][data-answer=ok]`).waitFor();
    slow = await openSlowReader(faulty.url);
    const data = JSON.stringify({ filling: 'x'.repeat(60_000) });
    const isFull = () => [...faulty.manager.clients()].some((client) => client.isFull);
    await until(async () => {
      await server.psql(`select change_feed.emit('voll', '${data}')`);
      return isFull();
    }, 'its socket to be full');
    await expectSaid(page, /1 Stream an Server .* liest zu langsam/, performance.now());
    const line = page.locator('.streams tbody tr').first();
    await line.locator('text=liest zu langsam').waitFor();
    expect(await line.locator('th').textContent()).toBe('langsam');
  });

  test('that its own server was killed, and then that it is back', async () => {
    const own = await inProcess();
    const page = await openMonitor(pages, server, { url: own.url });
    own.kill('SIGKILL');
    await expectSaid(page, /Keine Verbindung zum Server/, performance.now());
    await until(() => own.child.signalCode !== null, 'its end');
    await inProcess(Number(new URL(own.url).port));
    await page.locator('.status[data-status=live]').waitFor();
    await page.locator('.alarms li', { hasText: 'Keine Verbindung' }).waitFor({ state: 'detached' });
  });

  test('that it is live, although an attempt to connect hung', async () => {
    let attempts = 0;
    const page = await openMonitor(pages, server, {
      prepare: (made) =>
        made.route('**/api/monitor/events', async (route) => {
          attempts += 1;
          if (attempts > 1) await route.continue();
        }),
    });
    expect(attempts).toBeGreaterThan(1);
    await page.locator('[data-server][data-answer=ok]').first().waitFor();
  });

  test('that its own server hangs', async () => {
    const own = await inProcess();
    const page = await openMonitor(pages, server, { url: own.url });
    own.kill('SIGSTOP');
    await expectSaid(page, /Der Server schweigt/, performance.now());
    own.kill('SIGCONT');
    await page.locator('.status[data-status=live]').waitFor();
  });
});

async function openSlowReader(url: string): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  const token = await server.token({ sub: 'langsam' });
  socket.write(`GET /api/events?resources=* HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  await once(socket, 'data');
  socket.pause();
  return socket;
}
