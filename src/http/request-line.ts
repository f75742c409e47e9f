import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { isStreaming } from '../streams/stream-socket.js';

/** The largest number of requests that wait on one connection; at one more, the connection is closed. */
const MAX_WAITING = 100;

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** The requests of one connection: the one that runs, and those that came behind it. */
interface Line {
  running: Exchange | undefined;
  waiting: Exchange[];
  /** The error of node:http behind them: it can read no more requests, and this is answered last. */
  error: Error | undefined;
}

/**
 * Runs the requests of a connection one after the other. node:http starts all that a client sends without waiting for
 * answers (pipelining, RFC 9112, 9.3.2) and keeps their answers in memory: 150 unread lists were 1 GB. Here the next one
 * begins when the answer before it has left, and the connection is not read until then.
 *
 * A stream is the last answer of its connection, so requests behind one are never run (RFC 9112, 9.6).
 */
export class RequestLine {
  readonly #lines = new WeakMap<Socket, Line>();
  readonly #run: RequestListener;
  readonly #refuse: (socket: Socket, error: Error) => void;

  /**
   * @param run runs a request.
   * @param refuse answers on a connection without a running request that the next one is malformed, and ends it.
   */
  constructor(run: RequestListener, refuse: (socket: Socket, error: Error) => void) {
    this.#run = run;
    this.#refuse = refuse;
  }

  /** Takes a request of node:http. */
  take(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const line = this.#lines.get(socket);
    if (socket.destroyed || isStreaming(socket)) return;
    if (!line) {
      this.#start({ request, response }, { running: undefined, waiting: [], error: undefined });
    } else if (line.waiting.length < MAX_WAITING) {
      line.waiting.push({ request, response });
      socket.pause();
    } else {
      // Not answered: a client that got no answer may send its request again elsewhere (RFC 9112, 9.3.1).
      socket.destroy();
    }
  }

  /** Takes bytes that node:http could not read as a request, or a request that did not arrive. Answers it in its turn. */
  takeError(error: Error, socket: Socket): void {
    const line = this.#lines.get(socket);
    // In the middle of an answer, another one would be read as a part of it.
    if (!socket.writable || isStreaming(socket)) socket.destroy();
    else if (!line?.running) this.#refuse(socket, error);
    else if (line.running.request.complete) {
      line.error ??= error;
      line.waiting = line.waiting.filter(({ request }) => request.complete);
    } else if (line.running.response.headersSent) socket.destroy();
    else this.#refuse(socket, error);
  }

  /** Starts a request. @param soon calls a function now or later. */
  #start(exchange: Exchange, line: Line, soon = (run: () => void) => run()): void {
    const { request, response } = exchange;
    line.running = exchange;
    this.#lines.set(request.socket, line);
    response.once('close', () => this.#next(request.socket, line));
    soon(() => {
      if (!request.socket.destroyed) this.#run(request, response);
    });
  }

  /** Starts the next request: the answer before it has left, or never will. */
  #next(socket: Socket, line: Line): void {
    line.running = undefined;
    const next = socket.writable && !isStreaming(socket) ? line.waiting.shift() : undefined;
    if (next) {
      // Not at once: a hundred short answers would follow each other before any other connection has its turn.
      this.#start(next, line, setImmediate);
    } else {
      this.#lines.delete(socket);
      line.waiting = [];
      if (line.error && socket.writable && !isStreaming(socket)) this.#refuse(socket, line.error);
    }
    if (line.waiting.length === 0) socket.resume();
  }
}
