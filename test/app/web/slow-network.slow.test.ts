import { Transform } from 'node:stream';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTestServer, type TestServer } from '../../running-server.js';
import type { Site } from '../../site.js';
import { TcpProxy, targetOf } from '../../tcp-proxy.js';
import { until } from '../../until.js';
import { describeInBrowser } from './browser.js';
import { statusOf, toldTo } from './client-page.js';
import { servePage } from './page-server.js';

/** How much later than sent each answer arrives, in ms. */
const ROUND_TRIP_MS = 12_000;

let server: TestServer;
let proxy: TcpProxy;
let site: Site;

beforeAll(async () => {
  server = await startTestServer();
  proxy = await TcpProxy.open(
    () => targetOf(server.url),
    () =>
      new Transform({
        transform(chunk, _encoding, taken) {
          setTimeout(() => this.push(chunk), ROUND_TRIP_MS);
          taken();
        },
      }),
  );
  site = await servePage(proxy.through(server.url));
});

afterAll(async () => {
  await site.close();
  await proxy.close();
  await server.stop();
});

describeInBrowser('a page on a network with round trips of 12 s', (pages) => {
  test('is slow, not mute: it comes to a stream that stays, and nothing is lost', async () => {
    const options = { token: await server.token() };
    const page = await pages.open(`http://127.0.0.1:${site.port}/?${encodeURIComponent(JSON.stringify(options))}`);
    await until(async () => (await statusOf(page)) === 'connected', 'the page to be live');
    await until(() => server.manager.clientCount === 1, 'a stream');
    const [stream] = server.manager.clients();
    for (const number of [1, 2, 3]) {
      await server.psql(`select change_feed.emit('a', to_jsonb($1::int))`, [number]);
      await until(async () => (await toldTo(page)).includes(number), `change ${number}`);
    }
    expect(await toldTo(page)).toEqual(['resync', 1, 2, 3]);
    expect(await statusOf(page)).toBe('connected');
    expect([...server.manager.clients()]).toEqual([stream]);
  });
});
