import { PassThrough, Readable, type Writable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import type { Answer, Exchange } from './exchange.js';
import { readJson } from './json-body.js';
import { parametersOf } from './parameters.js';

/** An exchange of a fetch `Request`. */
export interface FetchExchange extends Exchange {
  /** Makes the `Response`: of an answer, or of the stream that was opened. */
  responseOf(answer: Answer | undefined): Response;
}

/** The status of a client that has left before its answer, as nginx logs it: nobody receives it. */
const CLIENT_LEFT = 499;

/** Makes the exchange of a fetch `Request`. */
export function fetchExchange(request: Request): FetchExchange {
  const { method, headers, signal, body } = request;
  const { pathname, search } = new URL(request.url);
  let stream: Response | undefined;
  return {
    method,
    path: pathname,
    parameters: parametersOf(search.slice(1)),
    header: (name) => (name.startsWith(':') ? undefined : (headers.get(name) ?? undefined)),
    json: () =>
      readJson({
        bytes: (body ?? []) as AsyncIterable<Uint8Array>,
        contentType: headers.get('Content-Type') ?? undefined,
        contentEncoding: headers.get('Content-Encoding') ?? undefined,
      }),
    get isOver() {
      return signal.aborted;
    },
    ending: () => signal,
    openStream: (added) => {
      const opened = webStream(signal);
      stream = new Response(opened.readable as unknown as ConstructorParameters<typeof Response>[0], {
        headers: added,
      });
      return opened.writable;
    },
    responseOf: (answer) => {
      if (stream) return stream;
      if (!answer) return new Response(null, { status: CLIENT_LEFT });
      return new Response(answer.text, { status: answer.status, headers: answer.headers });
    },
  };
}

/** Makes a stream of the web, and the writable that takes its bytes. It is closed when the client leaves. */
function webStream(signal: AbortSignal): { writable: Writable; readable: ReadableStream } {
  const writable = new PassThrough();
  const leave = () => writable.destroy();
  signal.addEventListener('abort', leave);
  writable.once('close', () => signal.removeEventListener('abort', leave));
  return { writable, readable: Readable.toWeb(writable) };
}
