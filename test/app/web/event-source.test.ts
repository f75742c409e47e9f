import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { startTestServer, type TestServer } from '../../running-server.js';
import { TcpProxy, targetOf } from '../../tcp-proxy.js';
import { until } from '../../until.js';
import { describeInBrowser } from './browser.js';

let server: TestServer;
let way: TcpProxy;

beforeEach(async () => {
  server = await startTestServer({ readIntervalMs: 1000 });
  way = await TcpProxy.open(() => targetOf(server.url));
});

afterEach(async () => {
  await way.close();
  await server.stop();
});

interface Heard {
  heard: string[];
  connections: number;
}

describeInBrowser("the browser's own EventSource, which subscribes by POST", (pages) => {
  test('cut before its POSTs, and between them, misses nothing', async () => {
    const page = await pages.open(`http://127.0.0.1:${way.port}`);
    let sent = 0;
    const emitBoth = async () => {
      sent += 1;
      await server.psql(`select change_feed.emit('a', $1), change_feed.emit('b', $1)`, [String(sent)]);
    };
    // The streams that are cut, from 0, and before which of their POSTs
    const cuts = ['0 a', '1 b', '2 a'];
    const streams: string[] = [];
    await page.route('**/api/events/subscribe', async (route) => {
      const { clientId, resource } = route.request().postDataJSON();
      if (!streams.includes(clientId)) streams.push(clientId);
      await emitBoth();
      const cut = cuts.indexOf(`${streams.indexOf(clientId)} ${resource}`);
      if (cut < 0) return route.continue();
      cuts.splice(cut, 1);
      way.cut();
      await route.abort();
    });
    await page.evaluate(
      (token) => {
        const state = window as unknown as Heard;
        Object.assign(state, { heard: [], connections: 0 });
        const source = new EventSource(`/api/events?token=${token}`);
        source.addEventListener('connected', async (event) => {
          state.connections += 1;
          const { clientId } = JSON.parse(event.data);
          for (const resource of ['a', 'b']) {
            await fetch('/api/events/subscribe', {
              method: 'POST',
              headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
              body: JSON.stringify({ clientId, resource }),
            });
          }
        });
        source.addEventListener('table-update', (event) => {
          const { resource, data, reason } = JSON.parse(event.data);
          state.heard.push(`${resource} ${reason ?? data}`);
        });
      },
      await server.token(),
    );
    const state = () =>
      page.evaluate(() => {
        const { heard, connections } = window as unknown as Heard;
        return { heard, connections };
      });
    // A browser waits for the server's retry, up to 3 s, each time
    for (const connections of [1, 2, 3, 4]) {
      await until(async () => (await state()).connections >= connections, `connection ${connections}`);
      await emitBoth();
    }
    await until(() => cuts.length === 0, 'the last cut');
    await emitBoth();
    await until(async () => (await state()).heard.includes(`b ${sent}`), 'the last event');
    const { heard } = await state();
    // All that came after the first `connected`, and nothing of it by a resync
    const missing = ['a', 'b'].flatMap((name) =>
      Array.from({ length: sent }, (_, i) => `${name} ${i + 1}`).filter((each) => !heard.includes(each)),
    );
    expect(heard.filter((each) => each.endsWith('resync'))).toEqual([]);
    expect(missing).toEqual([]);
  });
});
