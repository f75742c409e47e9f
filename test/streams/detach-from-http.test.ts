import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describe, expect, test } from '@jest/globals';
import { openStreamSocket } from '../../src/streams/stream-socket.js';
import { CERTIFICATE, KEY } from '../certificate.js';
import { until } from '../until.js';

/** An application's own server, that leaves bad requests to node:http, and a client of its stream. */
async function openOn(application: Server, secure = false) {
  application.listen(0, '127.0.0.1');
  await once(application, 'listening');
  const opened = once(application, 'opened') as Promise<[Socket]>;
  const { port } = application.address() as AddressInfo;
  const client = secure ? connectTls({ port, rejectUnauthorized: false }) : connect(port, '127.0.0.1');
  let text = '';
  client.on('data', (chunk) => {
    text += chunk.toString();
  });
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  const [stream] = await opened;
  // Node has its parser no more.
  await until(() => (stream as { parser?: unknown }).parser === null);
  return { client, stream, text: () => text };
}

const listener: RequestListener = (_request, response) => {
  const { req } = response;
  const stream = openStreamSocket(response);
  stream.write('data: 1\n\n');
  (req.socket as unknown as { server: Server }).server.emit('opened', stream);
};

describe.each([
  ['http', () => createServer(listener), false],
  ['https', () => createSecureServer({ key: KEY, cert: CERTIFICATE }, listener), true],
] as const)('on a server of node:%s of an application', (_name, create, secure) => {
  test('nothing that a client sends is answered, or ends its stream', async () => {
    const application = create();
    const { client, stream, text } = await openOn(application, secure);
    client.write('\0 no HTTP \r\n\r\n');
    client.write('GET / HTTP/1.1\r\n\r\n'.repeat(1000));
    await until(() => client.writableLength === 0);
    stream.write('data: 2\n\n');
    await until(() => text().endsWith('data: 2\n\n'));
    expect(text()).toMatch(/^HTTP\/1\.1 200 OK\r\n(.+\r\n)+\r\ndata: 1\n\ndata: 2\n\n$/);
    client.destroy();
    await until(() => stream.destroyed);
    application.close();
  });

  test.each([
    ['ends its side', (client: Socket) => void client.end()],
    // TLS has no reset.
    ['breaks it off', (client: Socket) => void (secure ? client.destroy() : client.resetAndDestroy())],
  ])('a stream ends when its client %s', async (_how, leave) => {
    const application = create();
    const { client, stream } = await openOn(application, secure);
    leave(client);
    await until(() => stream.destroyed);
    await new Promise((closed) => application.close(closed));
  });

  test('close() waits for streams, closeIdleConnections() leaves them, closeAllConnections() ends them', async () => {
    const application = create();
    const { client, stream, text } = await openOn(application, secure);
    const closed = once(application, 'close');
    application.close();
    application.closeIdleConnections();
    stream.write('data: 2\n\n');
    await until(() => text().endsWith('data: 2\n\n'));
    application.closeAllConnections();
    await closed;
    await until(() => client.destroyed);
  });
});
