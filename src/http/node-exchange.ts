import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2Stream } from 'node:http2';
import { openStreamSocket } from '../streams/stream-socket.js';
import type { Answer, Exchange } from './exchange.js';
import { jsonOf } from './json-body.js';
import { parametersOf } from './parameters.js';

/**
 * Makes the exchange of a request of node:http, or of node:http2 by its compatibility API.
 * @param path the path without the query.
 * @param body what a parser of the application has made of the body; undefined where it has not been read.
 */
export function nodeExchange(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  body: unknown,
): Exchange {
  const { method = '', url = '', headers } = request;
  const query = url.indexOf('?');
  return {
    method,
    path,
    parameters: parametersOf(query < 0 ? '' : url.slice(query + 1)),
    header: (name) => [headers[name.toLowerCase()] ?? []].flat().at(-1),
    json: () => jsonOf(request, body),
    get isOver() {
      return isOver(response);
    },
    ending: () => endingOf(response),
    openStream: (added) => {
      response.statusCode = 200;
      for (const [name, value] of Object.entries(added)) response.setHeader(name, value);
      return openStreamSocket(response);
    },
  };
}

/** Sends an answer, with the headers that the application has set. */
export function sendAnswer(response: ServerResponse, { status, headers, text }: Answer): void {
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.setHeader('Content-Length', Buffer.byteLength(text));
  response.end(text);
}

/** Returns whether the client has left, or has its answer. */
export function isOver(response: ServerResponse): boolean {
  // HTTP/2 has a stream of each request on the connection.
  const { stream } = response as { stream?: Http2Stream };
  return stream ? stream.destroyed : response.destroyed || response.req.socket.destroyed;
}

/** Makes a signal that is aborted when the client leaves, or has its answer. */
export function endingOf(response: ServerResponse): AbortSignal {
  const ending = new AbortController();
  if (isOver(response)) ending.abort();
  else response.once('close', () => ending.abort());
  return ending.signal;
}
