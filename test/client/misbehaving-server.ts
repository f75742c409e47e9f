import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { until } from '../until.js';

/** One request that a {@link MisbehavingServer} has got. */
export interface Received {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly body: string;
}

/** A server that answers each request as a test says, on purpose wrongly. */
export interface MisbehavingServer {
  readonly url: string;
  /** All requests so far. */
  readonly received: Received[];
  /** What the next requests get, one each; the last for all that follow. */
  answers: ((received: Received) => void)[];
  /** The nth request, from 0, waited for. */
  request(n: number): Promise<Received>;
  close(): Promise<void>;
}

export async function startMisbehavingServer(): Promise<MisbehavingServer> {
  const received: Received[] = [];
  const http = createServer(async (request, response) => {
    let body = '';
    for await (const part of request.setEncoding('utf8')) body += part;
    const one = { request, response, url: new URL(request.url ?? '', 'http://localhost'), body };
    received.push(one);
    const answer = server.answers.length > 1 ? server.answers.shift() : server.answers[0];
    answer?.(one);
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const server: MisbehavingServer = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    received,
    answers: [],
    request: async (n) => {
      await until(() => received.length > n, `request ${n}`);
      return received[n] as Received;
    },
    close: async () => {
      http.closeAllConnections();
      http.close();
      await once(http, 'close');
    },
  };
  return server;
}

let streams = 0;

/** Opens a stream as the feed does, and sends `text` after `connected`. */
export function stream(text = '', { id = 'e.1:1:', retryMs = 1, resumed = true, heartbeatMs = 30_000 } = {}) {
  return ({ response, url }: Received): void => {
    streams += 1;
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' });
    const connected = { clientId: `c${streams}`, resumed: resumed && url.searchParams.has('lastEventId'), heartbeatMs };
    const data = JSON.stringify(connected);
    response.write(`retry: ${retryMs}\n\nid: ${id}\nevent: connected\ndata: ${data}\n\n${text}`);
  };
}

/** Answers with a status and headers. */
export function status(code: number, headers: Record<string, string> = {}, body = '') {
  return ({ response }: Received): void => {
    response.writeHead(code, headers).end(body);
  };
}
