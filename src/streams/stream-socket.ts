import { IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { detachFromHttp } from './detach-from-http.js';

/** The connections that belong to a stream. */
const streaming = new WeakSet<object>();

/** The request of a response that belongs to no framework: of HTTP/1.0, so without chunks, and closed at the end. */
const NO_REQUEST = Object.assign(new IncomingMessage(new Socket()), { httpVersionMajor: 1, httpVersionMinor: 0 });

/** The response that node:http finds on each stream's connection: its headers have been sent. */
const UNDER_WAY = new ServerResponse(NO_REQUEST);
sendHead(
  UNDER_WAY,
  new Socket().on('error', () => {}), // it is not connected
  200,
  [],
);

/**
 * Opens a stream on a response: sends its headers. @returns the writable that takes the stream's bytes.
 *
 * On HTTP/1 that is the socket itself. `response.write` costs Node two and more writes into the socket for each event
 * (a chunk's length, its bytes, its end). That is more CPU than all the rest of the server uses. So the body is sent
 * without chunks, and ends with the connection (RFC 9112, 6.3).
 *
 * The framework's response ends at that moment. It and all that it references (the request, headers, context and
 * listeners) are 9 kB. They would stay as long as the stream does. A response that all streams share
 * takes its place on the socket, until node:http has lost the connection, too: see {@link detachFromHttp}.
 *
 * On HTTP/2 it is the request's stream. Behind a pipelined request, or where the headers have been sent already, it is the
 * response.
 *
 * On HTTP/1 the connection takes no more requests: a request behind a stream's is not run, and not kept.
 */
export function openStreamSocket(response: ServerResponse): Writable {
  const { req, socket } = response;
  req.setTimeout(0);
  if (req.httpVersionMajor === 2) {
    response.flushHeaders();
    return (response as unknown as Http2ServerResponse).stream;
  }
  streaming.add(req.socket);
  ignoreRequests(req.socket);
  if (response.headersSent || !socket) {
    if (!socket) endWithConnection(response);
    response.flushHeaders();
    return response;
  }
  const { statusCode } = response;
  const headers = rawHeaders(response);
  // As at every response's end: node:http takes it off the socket, and middlewares that wait for its end continue.
  response.emit('finish');
  dropFollowers(socket);
  sendHead(new ServerResponse(NO_REQUEST), socket, statusCode, headers);
  UNDER_WAY.assignSocket(socket);
  // The response's end has set it to the time for another request.
  socket.setTimeout(0);
  // Its parser may be at work still: it is what has called us.
  setImmediate(() => {
    if (detachFromHttp(socket)) UNDER_WAY.detachSocket(socket);
  });
  return socket;
}

/** Writes a status line and headers to a socket, and detaches from it. */
function sendHead(response: ServerResponse, socket: Socket, statusCode: number, headers: string[]): void {
  response.assignSocket(socket);
  response.writeHead(statusCode, headers as unknown as OutgoingHttpHeaders);
  response.flushHeaders();
  response.detachSocket(socket);
}

/** The state that node:http keeps on a connection. */
interface Parsed {
  /** The response that is on the socket. */
  readonly _httpMessage?: ServerResponse | null;
  readonly parser?: { onIncoming: (request: IncomingMessage) => number } | null;
}

/**
 * Lets node:http read a stream's connection, so that it notices malformed bytes and the end, but make no requests of it.
 * It would keep each with its response until the stream ends.
 */
function ignoreRequests(socket: Socket): void {
  const { parser } = socket as Parsed;
  if (parser) parser.onIncoming = ignore;
}

/** Drops a request. @returns the parser's next step: 0 to continue, 2 where no HTTP follows. */
function ignore(request: IncomingMessage & { upgrade?: boolean }): number {
  request.upgrade = request.method === 'CONNECT';
  if (request.upgrade) return 2;
  request.resume();
  return 0;
}

/** Drops the responses to requests that came behind a stream's: node:http puts each on the socket in turn. */
function dropFollowers(socket: Socket): void {
  for (let next = (socket as Parsed)._httpMessage; next; next = (socket as Parsed)._httpMessage) next.emit('finish');
}

/** Ends a response with its connection: behind the response of another request, node:http does not. */
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

/** Resets a socket that nobody reads, and drops all that waits in it. */
export function resetStreamSocket(socket: Writable): void {
  // A FIN would wait behind what was written, up to 4 MB in the kernel, and with it for minutes. TLS has no such end.
  if (socket instanceof Socket && !(socket instanceof TLSSocket)) socket.resetAndDestroy();
  else socket.destroy();
}

/** Returns whether a connection is a stream's: nothing else may be written to it. */
export function isStreaming(connection: object): boolean {
  return streaming.has(connection);
}

/** Lists names and values in turn, as `writeHead` takes them without keeping a copy. */
function rawHeaders(response: ServerResponse): string[] {
  return response.getHeaderNames().flatMap((name) => {
    const values = [response.getHeader(name) ?? []].flat();
    return values.flatMap((value) => [name, String(value)]);
  });
}
