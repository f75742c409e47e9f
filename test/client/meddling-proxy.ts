import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a proxy does to a request of the feed. */
export interface Meddling {
  /** Headers of the request that it does not pass on, in lower case. */
  readonly strips?: readonly string[];
  /** Keeps what the server says until the server has said all. */
  readonly buffers?: boolean;
  /** Cuts a response that lasts longer, in ms. */
  readonly cutsAfterMs?: number;
  /** Answers itself. */
  readonly answers?: { readonly status: number; readonly headers: Record<string, string>; readonly body: string };
}

/** An HTTP proxy that does to streams as bad proxies do. */
export class MeddlingProxy {
  /** Streams that it has cut. */
  cuts = 0;
  readonly #http;

  private constructor(target: string, meddle: (path: string) => Meddling) {
    this.#http = createServer((from, to) => this.#pass(target, meddle(from.url ?? ''), from, to));
  }

  /** Listens on a free port of 127.0.0.1. @param meddle asked for each request's path. */
  static async open(target: string, meddle: (path: string) => Meddling): Promise<MeddlingProxy> {
    const proxy = new MeddlingProxy(target, meddle);
    proxy.#http.listen(0, '127.0.0.1');
    await once(proxy.#http, 'listening');
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#http.closeAllConnections();
    this.#http.close();
    await once(this.#http, 'close');
  }

  #pass(target: string, meddling: Meddling, from: IncomingMessage, to: ServerResponse): void {
    const { strips = [], buffers = false, cutsAfterMs, answers } = meddling;
    if (answers) {
      to.writeHead(answers.status, answers.headers).end(answers.body);
      return;
    }
    const headers = { ...from.headers };
    for (const name of strips) delete headers[name];
    const on = request(new URL(from.url ?? '', target), { method: from.method, headers }, (answer) => {
      answer.on('error', () => to.destroy());
      const kept: Buffer[] = [];
      if (buffers) {
        answer.on('data', (chunk: Buffer) => kept.push(chunk));
        answer.on('end', () => to.writeHead(answer.statusCode ?? 502, answer.headers).end(Buffer.concat(kept)));
      } else {
        to.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(to);
      }
    });
    on.on('error', () => to.destroy());
    const cut =
      cutsAfterMs === undefined
        ? undefined
        : setTimeout(() => {
            this.cuts += 1;
            to.destroy();
          }, cutsAfterMs);
    to.on('close', () => {
      clearTimeout(cut);
      on.destroy();
    });
    from.pipe(on);
  }
}
