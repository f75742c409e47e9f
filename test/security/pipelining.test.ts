import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { Readable, type Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createHttpServer } from '../../src/http/http-server.js';
import { openStreamSocket } from '../../src/streams/stream-socket.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { until } from '../until.js';

// Several requests on one connection, sent without waiting for answers.

const opened: (Socket | Server)[] = [];

afterEach(() => {
  for (const one of opened.splice(0)) {
    if ('destroy' in one) one.destroy();
    else {
      one.closeAllConnections();
      one.close();
    }
  }
});

function dial(url: string, text: string) {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  opened.push(socket);
  const connection = { socket, said: '', closed: false };
  socket.on('data', (chunk: Buffer) => {
    connection.said += chunk.toString();
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    connection.closed = true;
  });
  socket.write(text);
  return connection;
}

/** Our server with a listener of the test's own. */
async function serve(listener: RequestListener, options: Parameters<typeof createHttpServer>[1] = {}): Promise<string> {
  const http = createHttpServer(listener, options);
  opened.push(http);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
const answersIn = (text: string) => text.match(/HTTP\/1\.1 \d+/g) ?? [];

describe('behind a stream', () => {
  let server: TestServer;
  let authorization: string;

  beforeAll(async () => {
    server = await startTestServer();
    authorization = `Authorization: Bearer ${await server.token()}\r\n`;
  });

  afterAll(() => server.stop());

  const post = (name: string) => {
    const body = JSON.stringify({
      name,
      beginn: '2030-07-01',
      ende: '2030-07-02',
      meldebeginn: '2030-01-01T00:00:00Z',
      meldeschluss: '2030-06-01T00:00:00Z',
      maxTeilnehmende: 1,
      teilnahmegebuehr: 0,
    });
    return `POST /api/veranstaltungen HTTP/1.1\r\nHost: x\r\n${authorization}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  };
  const names = async () =>
    (await server.psql('select name from veranstaltung order by id')).rows.map(({ name }) => name);
  const stream = () => get('/api/events?resources=marke', authorization);

  /** The stream still gets events, and got nothing else. */
  async function expectStreaming(connection: ReturnType<typeof dial>, answers = 1): Promise<void> {
    await server.psql(`select change_feed.emit('marke')`);
    await until(() => connection.said.includes('"resource":"marke"'));
    expect(answersIn(connection.said)).toHaveLength(answers);
    expect(connection.closed).toBe(false);
  }

  test('nothing is run: not 250 requests, POSTs among them', async () => {
    const connection = dial(server.url, stream());
    await until(() => connection.said.includes('event: connected'));
    for (let i = 0; i < 250; i += 1) {
      connection.socket.write(i % 2 ? post(`hinten ${i}`) : get('/api/veranstaltungen', authorization));
    }
    await until(() => connection.socket.writableLength === 0);
    await expectStreaming(connection);
    const first = dial(server.url, post('vorn'));
    await until(() => answersIn(first.said).length === 1);
    expect(await names()).toEqual(['vorn']);
  });

  test('nothing is run that was sent with it, and what was sent before it is', async () => {
    const connection = dial(server.url, post('vor ihm') + stream() + post('nach ihm') + get('/healthz'));
    await until(() => connection.said.includes('event: connected'));
    connection.socket.write(post('spaeter'));
    await expectStreaming(connection, 2);
    expect(await names()).toEqual(['vorn', 'vor ihm']);
    connection.socket.destroy();
    await until(() => server.manager.clientCount === 0);
  });

  test.each([
    ['a request without Host', 'GET /healthz HTTP/1.1\r\n\r\n'],
    ['a target that is none', 'GET //?#@ HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['headers that are too long', get('/healthz', `X-A: ${'a'.repeat(20_000)}\r\n`)],
    ['an expectation', get('/healthz', 'Expect: 100-continue\r\n')],
    ['an unknown expectation', get('/healthz', 'Expect: wonders\r\n')],
    ['an upgrade', get('/healthz', 'Connection: Upgrade\r\nUpgrade: websocket\r\n')],
    ['a CONNECT', 'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['HTTP/1.0', 'GET /healthz HTTP/1.0\r\n\r\n'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['nonsense', 'nonsense\r\n\r\n'],
    ['empty lines', '\r\n\r\n\r\n'],
  ])('%s is not answered', async (_name, text) => {
    const connection = dial(server.url, stream());
    await until(() => connection.said.includes('event: connected'));
    connection.socket.write(text);
    await until(async () => {
      await server.psql(`select change_feed.emit('marke')`);
      return connection.closed || connection.said.split('"resource":"marke"').length > 3;
    });
    expect(answersIn(connection.said)).toHaveLength(1);
  });

  test('half a request does not end it when its time is over', async () => {
    const hasty = await server.another({ headersTimeoutS: 1, requestTimeoutS: 1 });
    const connection = dial(hasty.url, stream());
    await until(() => connection.said.includes('event: connected'));
    connection.socket.write('GET /healthz HTTP/1.1\r\nHost:');
    // One that came first ends one after the other.
    const other = dial(hasty.url, 'GET /healthz HTTP/1.1\r\nHost:');
    await until(() => other.closed);
    await expectStreaming(connection);
  });

  test('of another server of node:http nothing is run, either', async () => {
    const run: string[] = [];
    let stream: Writable | undefined;
    const http = createServer((request, response) => {
      if (request.url === '/stream') {
        stream = openStreamSocket(response);
        stream.write('data: 1\n\n');
      } else {
        run.push(String(request.url));
        response.end();
      }
    });
    opened.push(http);
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    const connection = dial(url, get('/stream'));
    await until(() => connection.said.includes('data: 1'));
    connection.socket.write(get('/behind').repeat(100));
    connection.socket.write('nonsense\r\n\r\n');
    await until(() => connection.socket.writableLength === 0);
    stream?.write('data: 2\n\n');
    await until(() => connection.said.endsWith('data: 1\n\ndata: 2\n\n'));
    expect(run).toEqual([]);
    expect(answersIn(connection.said)).toHaveLength(1);
  });
});

describe('on one connection', () => {
  test('a hundred requests run one after the other, and are answered in their order', async () => {
    let running = 0;
    let most = 0;
    const url = await serve(async (request, response) => {
      running += 1;
      most = Math.max(most, running);
      let body = '';
      for await (const chunk of request) body += chunk;
      await delay(1);
      running -= 1;
      response.end(`<${request.url} ${body.length}>`);
    });
    const body = 'x'.repeat(5000);
    const requests = Array.from({ length: 100 }, (_, i) =>
      i % 10 ? get(`/${i}`) : `POST /${i} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    const connection = dial(url, requests.join(''));
    await until(() => answersIn(connection.said).length === 100);
    await until(() => connection.said.includes('</99 0>'));
    expect(connection.said.match(/<\/\d+ \d+>/g)).toEqual(
      requests.map((_, i) => `</${i} ${i % 10 ? 0 : body.length}>`),
    );
    expect(most).toBe(1);
    // And it is read again
    connection.socket.write(get('/later'));
    await until(() => connection.said.includes('</later 0>'));
  });

  test('a hundred short requests do not follow each other before others have their turn', async () => {
    const order: string[] = [];
    const turns: (() => void)[] = [];
    const url = await serve((request, response) => {
      order.push(String(request.url));
      // What comes in meanwhile is ready when the first one ends.
      if (request.url === '/slow') turns.push(() => response.end());
      else response.end();
    });
    const many = dial(url, get('/slow') + get('/many').repeat(99));
    await until(() => turns.length === 1);
    turns[0]?.();
    let turn = 0;
    await new Promise<void>((resolve) => {
      const next = () => {
        turn += 1;
        if (order.length < 100) setImmediate(next);
        else resolve();
      };
      next();
    });
    expect(turn).toBeGreaterThan(90);
    await until(() => answersIn(many.said).length === 100);
  });

  test('an answer that nobody reads keeps the next from being made', async () => {
    const made: string[] = [];
    const url = await serve((request, response) => {
      made.push(String(request.url));
      response.end(Buffer.alloc(20_000_000));
    });
    const connection = dial(url, '');
    connection.socket.pause();
    connection.socket.write(Array.from({ length: 50 }, (_, i) => get(`/${i}`)).join(''));
    await until(() => made.length > 0);
    // Another connection is served meanwhile, again and again.
    for (let i = 0; i < 5; i += 1) {
      const other = dial(url, get('/other'));
      await until(() => other.said.length > 20_000_000);
    }
    expect(made.filter((path) => path !== '/other')).toEqual(['/0']);
  });

  test('more than a hundred that wait end it', async () => {
    let run = 0;
    const url = await serve(() => {
      run += 1;
    });
    const connection = dial(url, get('/').repeat(500));
    await until(() => connection.closed);
    expect(run).toBe(1);
  });

  test.each([
    ['a request without Host', 'GET /x HTTP/1.1\r\n\r\n', /"message":"Host is missing"/],
    ['a request with two Hosts', get('/x', 'HOST: y\r\n'), /"message":"Host is there twice"/],
    ['a CONNECT', 'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n', /"message":"CONNECT is not answered here"/],
    ['a malformed URL', 'GET //?#@ HTTP/1.1\r\nHost: x\r\n\r\n', /"message":"The (URL|request) is malformed"/],
    ['nonsense', 'nonsense\r\n\r\n', /"message":"The request is malformed"/],
    [
      'headers that are too long',
      get('/x', `X-A: ${'a'.repeat(20_000)}\r\n`),
      /"message":"The URL and the headers are too long"/,
    ],
    ['half a request', 'GET /x HTTP/1.1\r\nHost:', /"message":"The request did not arrive in time"/],
    [
      'half a body',
      'POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{',
      /"message":"The request did not arrive in time"/,
    ],
  ])('%s behind others is answered after them, and ends it', async (_name, text, message) => {
    const answer: (() => void)[] = [];
    const url = await serve((request, response) => answer.push(() => response.end(`<${request.url}>`)), {
      headersTimeoutS: 1,
      requestTimeoutS: 1,
    });
    const connection = dial(url, get('/1') + get('/2') + text);
    await until(() => answer.length === 1);
    // Longer than anything may take to arrive
    await delay(/(Host:|\{)$/.test(text) ? 2300 : 100);
    expect(connection.said).toBe('');
    answer[0]?.();
    await until(() => answer.length === 2);
    answer[1]?.();
    await until(() => connection.closed);
    expect(answersIn(connection.said)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 400']);
    expect(connection.said).toMatch(/<\/1>.*<\/2>/s);
    expect(connection.said).toMatch(message);
  });

  test('a CONNECT cuts off no answer before it, however long, and fails nobody when its client goes away', async () => {
    const url = await serve((_request, response) => {
      Readable.from(Array.from({ length: 300 }, () => Buffer.alloc(65_536))).pipe(response);
    });
    const connection = dial(url, `${get('/')}CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n`);
    await until(() => connection.closed);
    expect(answersIn(connection.said)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400']);
    expect(connection.said.length).toBeGreaterThan(300 * 65_536);

    const rude = dial(url, `${get('/')}CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n`);
    await until(() => rude.said !== '');
    rude.socket.resetAndDestroy();
    const next = dial(url, get('/', 'Connection: close\r\n'));
    await until(() => next.closed);
    expect(next.said.length).toBeGreaterThan(300 * 65_536);
  });

  test('a client that asks to close is answered that once', async () => {
    let run = 0;
    const url = await serve((_request, response) => {
      run += 1;
      response.end('x');
    });
    const connection = dial(url, get('/', 'Connection: close\r\n') + get('/').repeat(10));
    await until(() => connection.closed);
    expect(run).toBe(1);
  });
});
