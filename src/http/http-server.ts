import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { resetStreamSocket } from '../streams/stream-socket.js';
import { RequestLine } from './request-line.js';

/** Limits of connections, before a token says whose they are. */
export interface HttpServerOptions {
  /** The largest number of connections; another is closed at once. Default 25,000. */
  readonly maxConnections?: number | undefined;
  /** The time that a request's headers may take, in seconds, from the start of the connection. Default 10. */
  readonly headersTimeoutS?: number | undefined;
  /** The time that a whole request may take, in seconds; at least `headersTimeoutS`. Default 30. */
  readonly requestTimeoutS?: number | undefined;
  /** The longest request line with headers, in kB; it contains a token of the query, too. Default 16. */
  readonly maxHeaderKb?: number | undefined;
  /** The time after which a client that reads nothing of its answer is disconnected, in ms. Streams have their own. Default 60,000. */
  readonly stallMs?: number | undefined;
}

/**
 * The time after which a connection without a request is closed, in ms. Proxies and load balancers keep theirs for 60 s:
 * closed sooner here, one could be closed just when they send a request on it, which then fails.
 */
const KEEP_ALIVE_MS = 65_000;

/** The time between two checks for connections that take too long, in ms. */
const CHECK_MS = 1000;

/** The message for a request that node:http refuses, by the error's code; any other request is malformed. */
const REFUSALS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: 'The URL and the headers are too long',
  ERR_HTTP_REQUEST_TIMEOUT: 'The request did not arrive in time',
  CONNECT: 'CONNECT is not answered here',
};

/**
 * Creates a server of node:http that limits connections which send nothing or send slowly. It answers malformed requests
 * like the application does: with 400 and `{"error":{"code":"…","message":"…"}}`.
 */
export function createHttpServer(listener: RequestListener, options: HttpServerOptions): Server {
  const { maxConnections = 25_000, headersTimeoutS = 10, requestTimeoutS = 30, maxHeaderKb = 16 } = options;
  const http = createServer({
    headersTimeout: headersTimeoutS * 1000,
    requestTimeout: requestTimeoutS * 1000,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: CHECK_MS,
    maxHeaderSize: maxHeaderKb * 1024,
    // Refused below, with our own message
    requireHostHeader: false,
  });
  http.maxConnections = maxConnections;
  http.timeout = options.stallMs ?? 60_000;
  http.on('timeout', (socket: Socket) => {
    if (socket.writableLength > 0) resetStreamSocket(socket);
    else socket.destroy();
  });

  const run: RequestListener = (request, response) => {
    const { httpVersion, url = '' } = request;
    const hosts = hostsOf(request);
    // RFC 9112, 3.2: 400 to any HTTP/1.1 request that lacks a Host header, and to any that has more than one
    if (hosts === 0 && httpVersion === '1.1') refuse(response, 'Host is missing');
    else if (hosts > 1) refuse(response, 'Host is there twice');
    else if (!isTarget(url)) refuse(response, 'The URL is malformed');
    else listener(request, response);
  };
  const line = new RequestLine(run, refuseOnSocket);
  http.on('request', (request, response) => line.take(request, response));
  // An unknown expectation is ignored (RFC 9110, 10.1.1, allows it), not answered with 417.
  http.on('checkExpectation', (request, response) => line.take(request, response));
  http.on('clientError', (error: Error, socket: Duplex) => line.takeError(error, socket as Socket));
  // Without a listener node:http closes the connection at once, and the answers before it are lost.
  http.on('connect', (_request, socket) => {
    keepAnswering(socket as Socket);
    line.takeError(Object.assign(new Error(REFUSALS.CONNECT), { code: 'CONNECT' }), socket as Socket);
  });
  return http;
}

/** Continues to send the answers under way: node:http stops that on a connection with a CONNECT. */
function keepAnswering(socket: Socket): void {
  socket.on('error', () => socket.destroy());
  socket.on('drain', () => (socket as { _httpMessage?: ServerResponse | null })._httpMessage?.emit('drain'));
}

function hostsOf({ rawHeaders }: IncomingMessage): number {
  return rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'host').length;
}

/** Checks a request's target (RFC 9112, 3.2): a path with its query, the same after a host, or `*`. Koa fails on others. */
function isTarget(url: string): boolean {
  if (/[#\s]/.test(url)) return false;
  return url.startsWith('/') || url === '*' || (/^https?:\/\/[^/]/i.test(url) && URL.canParse(url));
}

/** Answers that a request is refused, and ends the connection. */
function refuse(response: ServerResponse, message: string): void {
  const body = refusal(message);
  response.writeHead(400, { Connection: 'close', ...body.headers });
  response.end(body.text);
}

/** Answers bytes that are no request, and ends the connection. @param error the error of node:http. */
function refuseOnSocket(socket: Socket, error: NodeJS.ErrnoException): void {
  const { headers, text } = refusal(REFUSALS[error.code ?? ''] ?? 'The request is malformed');
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`HTTP/1.1 400 Bad Request\r\nConnection: close\r\n${lines.join('')}\r\n${text}`);
  socket.destroySoon();
}

function refusal(message: string) {
  const text = JSON.stringify({ error: { code: 'bad_request', message } });
  const headers = {
    'Content-Type': 'application/json; charset=utf-8',
    'Cache-Control': 'no-store',
    'Content-Length': Buffer.byteLength(text),
  };
  return { headers, text };
}
