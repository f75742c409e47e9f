import type { ServerResponse } from 'node:http';
import type { Writable } from 'node:stream';

/**
 * The fast path of the fan-out: where a stream's bytes are written to, with its headers sent.
 *
 * On HTTP/1 it is the socket itself. `response.write` costs Node two and more writes into the socket for each event
 * (a chunk's length, its bytes, its end) and more CPU than all the rest of the server, so the body is sent without
 * chunks, and ends with the connection (RFC 9112, 6.3). Where the headers have gone out already, with chunks or on
 * HTTP/2, it is the response.
 */
export function openWire(response: ServerResponse): Writable {
  if (response.headersSent || response.req.httpVersionMajor !== 1 || !response.socket) {
    response.flushHeaders();
    return response;
  }
  response.removeHeader('Transfer-Encoding');
  response.setHeader('Connection', 'close');
  response.flushHeaders();
  return response.socket;
}
