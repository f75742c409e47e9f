import { IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { TLSSocket } from 'node:tls';

/** Connections that are a stream's alone. */
const streaming = new WeakSet<object>();

/** For a response without the framework's request. Of HTTP/1.0: without chunks, and closed at the end. */
const NO_REQUEST = Object.assign(new IncomingMessage(new Socket()), { httpVersionMajor: 1, httpVersionMinor: 0 });

/** The response that node:http finds on each connection which is a stream: one whose headers have gone out. */
const UNDER_WAY = new ServerResponse(NO_REQUEST);
sendHead(
  UNDER_WAY,
  new Socket().on('error', () => {}), // it leads nowhere
  200,
  [],
);

/**
 * The fast path of the fan-out: where a stream's bytes are written to, with its headers sent.
 *
 * On HTTP/1 it is the socket itself. `response.write` costs Node two and more writes into the socket for each event
 * (a chunk's length, its bytes, its end) and more CPU than all the rest of the server, so the body is sent without
 * chunks, and ends with the connection (RFC 9112, 6.3).
 *
 * The framework's response is over at that moment: it and all that hangs on it (the request, headers, context and
 * listeners) are 9 kB for each stream, and would stay as long as the stream does. One that all streams share takes its
 * place on the socket, so that node:http still knows the connection to be in use.
 *
 * Where the headers have gone out already, with chunks, on HTTP/2, or behind a pipelined request it is the response.
 *
 * On HTTP/1 the connection takes no more requests: what is sent behind a stream's is not run, and not kept.
 */
export function openStreamSocket(response: ServerResponse): Writable {
  const { req, socket } = response;
  req.setTimeout(0);
  streaming.add(req.socket);
  if (req.httpVersionMajor === 1) ignoreRequests(req.socket);
  if (response.headersSent || req.httpVersionMajor !== 1 || !socket) {
    if (!socket) endWithConnection(response);
    response.flushHeaders();
    return response;
  }
  const { statusCode } = response;
  const headers = rawHeaders(response);
  // As at every response's end: node:http takes it off the socket, and whoever waits for its end hears of that.
  response.emit('finish');
  dropFollowers(socket);
  sendHead(new ServerResponse(NO_REQUEST), socket, statusCode, headers);
  UNDER_WAY.assignSocket(socket);
  // The end has set it to the time for another request.
  socket.setTimeout(0);
  return socket;
}

/** Writes a status line and headers to a socket, and leaves it. */
function sendHead(response: ServerResponse, socket: Socket, statusCode: number, headers: string[]): void {
  response.assignSocket(socket);
  response.writeHead(statusCode, headers as unknown as OutgoingHttpHeaders);
  response.flushHeaders();
  response.detachSocket(socket);
}

/** What node:http keeps on a connection. */
interface Parsed {
  /** The response that is on the socket. */
  readonly _httpMessage?: ServerResponse | null;
  readonly parser?: { onIncoming: (request: IncomingMessage) => number } | null;
}

/**
 * Lets node:http read what comes on, so that it notices nonsense and the connection's end, but make no request of it: of
 * each it would keep the request and the response until the stream ends.
 */
function ignoreRequests(socket: Socket): void {
  const { parser } = socket as Parsed;
  if (parser) parser.onIncoming = ignore;
}

/** @returns what node:http's parser is to do: 0 to go on, 2 where what follows is no HTTP. */
function ignore(request: IncomingMessage & { upgrade?: boolean }): number {
  request.upgrade = request.method === 'CONNECT';
  if (request.upgrade) return 2;
  request.resume();
  return 0;
}

/** Drops the responses to requests that came behind a stream's before it began: node:http has each on the socket in turn. */
function dropFollowers(socket: Socket): void {
  for (let next = (socket as Parsed)._httpMessage; next; next = (socket as Parsed)._httpMessage) next.emit('finish');
}

/** A response behind that of another request is told nothing of the connection's end by node:http. */
function endWithConnection(response: ServerResponse): void {
  response.req.socket.once('close', () => {
    response.destroy();
    response.emit('close');
  });
}

/** Ends a stream's socket once all that was written has left. */
export function endStreamSocket(socket: Writable): void {
  // end() alone would wait for the other side's FIN.
  if (socket instanceof Socket) socket.destroySoon();
  else socket.end();
}

/** Ends a socket that nobody reads, with all that waits in it. */
export function resetStreamSocket(socket: Writable): void {
  // A FIN would wait behind what was written, up to 4 MB in the kernel, and with it for minutes. TLS has no such end.
  if (socket instanceof Socket && !(socket instanceof TLSSocket)) socket.resetAndDestroy();
  else socket.destroy();
}

/** Whether a connection is a stream's: nothing else may be written to it. */
export function isStreaming(connection: object): boolean {
  return streaming.has(connection);
}

/** Names and values in turn, as `writeHead` takes them without keeping a copy. */
function rawHeaders(response: ServerResponse): string[] {
  return response.getHeaderNames().flatMap((name) => {
    const values = [response.getHeader(name) ?? []].flat();
    return values.flatMap((value) => [name, String(value)]);
  });
}
