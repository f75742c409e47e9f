import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { packageRoot } from '../../src/package-root.js';
import { expiredEvent, revokedEvent } from '../../src/streams/event-format.js';
import { describeInBrowser, type Pages } from '../app/web/browser.js';
import { type Meddling, MeddlingProxy } from '../client/meddling-proxy.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { TcpProxy, targetOf } from '../tcp-proxy.js';
import { until } from '../until.js';

// The examples of other people's clients, in a real browser, and against a real server behind a way that fails.

const run = promisify(execFile);
const EXAMPLES = ['event-source', 'vueuse', 'fetch-event-source', 'eventsource-package'];
const HTML = `<!doctype html><script type="module">
import { listen } from '/listen.js';
window.told = [];
const getToken = async () => (await fetch('/token')).text();
listen({ url: '/api/events', resource: 'a', getToken, onChange: ({ data, reason }) => told.push(reason ?? data) });
</script>`;
const STREAM = /^\/api\/events\?/;

let server: TestServer;
let proxy: MeddlingProxy | undefined;
let way: TcpProxy | undefined;
/** The fate of streams on the way. */
let fault: Meddling;
let refused: number;
let token: string;
let sent: number;

beforeEach(async () => {
  fault = {};
  refused = 0;
  sent = 0;
  server = await startTestServer({ readIntervalMs: 1000 });
  token = await server.token();
});

afterEach(async () => {
  await way?.close();
  await proxy?.close();
  way = undefined;
  proxy = undefined;
  await server.stop();
});

/** A client as a bundler makes it; in a process of its own, for the bundler does not run in jest's. */
async function bundle(example: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pg-change-feed-client-'));
  try {
    const options = {
      configFile: false,
      logLevel: 'warn',
      define: { 'process.env.NODE_ENV': '"production"' },
      build: {
        outDir: folder,
        lib: { entry: join(packageRoot, `examples/other-clients/${example}.js`), formats: ['es'], fileName: 'listen' },
      },
    };
    const script = `import { build } from 'vite'; await build(${JSON.stringify(options)});`;
    await run(process.execPath, ['--input-type=module', '-e', script], { cwd: packageRoot });
    return await readFile(join(folder, 'listen.js'), 'utf8');
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Opens a page with a client. */
async function open(pages: Pages, example: string) {
  const script = await bundle(example);
  const answer = (type: string, body: string) => ({
    answers: { status: 200, headers: { 'Content-Type': type }, body },
  });
  const front = await MeddlingProxy.open(server.url, (path) => {
    if (path === '/') return answer('text/html', HTML);
    if (path === '/listen.js') return answer('text/javascript', script);
    if (path === '/token') return answer('text/plain', token);
    if (!STREAM.test(path)) return {};
    if (fault.answers) refused += 1;
    return fault;
  });
  proxy = front;
  way = await TcpProxy.open(() => targetOf(front.url));
  const page = await pages.open(`http://127.0.0.1:${way.port}/`, { prepare: (tab) => tab.clock.install() });
  await until(() => server.manager.clientCount === 1, 'a stream');
  const told = () => page.evaluate(() => (window as unknown as { told: (number | string)[] }).told);
  /** Waits for the last change, and expects all, each once and in order. */
  const toldAll = async () => {
    await until(async () => (await told()).includes(sent), `change ${sent}`);
    expect(await told()).toEqual(Array.from({ length: sent }, (_, i) => i + 1));
  };
  return { page, toldAll };
}

const emit = async () => {
  sent += 1;
  await server.psql(`select change_feed.emit('a', to_jsonb($1::int))`, [sent]);
};

describeInBrowser("other people's clients", (pages) => {
  test.each(EXAMPLES)('%s: after a cut, and after answers that are no stream, it misses nothing', async (example) => {
    const { toldAll } = await open(pages, example);
    await emit();
    await toldAll();
    way?.cut();
    await emit();
    await toldAll();
    fault = { answers: { status: 503, headers: { 'Retry-After': '1' }, body: '' } };
    way?.cut();
    await until(() => refused > 0, 'an answer that is no stream');
    await emit();
    fault = {};
    await toldAll();
    await emit();
    await toldAll();
  });

  test.each(EXAMPLES)('%s: after the end of its token it goes on with another, and misses nothing', async (example) => {
    const { page, toldAll } = await open(pages, example);
    await emit();
    await toldAll();
    token = await server.token({ sub: 'grace' });
    for (const client of server.manager.clients()) client.end('its token ended', expiredEvent());
    await emit();
    await until(() => [...server.manager.clients()].map(({ subject }) => subject).join() === 'grace', 'the new token');
    await emit();
    await toldAll();
    // Rights that were withdrawn: the page does not come back.
    for (const client of server.manager.clients()) client.end('its rights were withdrawn', revokedEvent());
    await until(() => server.manager.clientCount === 0, 'the end of the stream');
    fault = { answers: { status: 503, headers: {}, body: '' } };
    await page.clock.fastForward(60_000);
    await page.evaluate(() => fetch('/token'));
    expect(refused).toBe(0);
  });
});
