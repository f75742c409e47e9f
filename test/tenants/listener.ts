import { connect, type Socket } from 'node:net';
import { formatTopic, parseTopic } from '../../src/scope.js';
import { createStreamParser, type StreamEvent } from '../event-stream.js';
import { until } from '../until.js';

/** The options of a listener. */
export interface ListenerOptions {
  readonly url: string;
  readonly token: string;
  /** The subscriptions: scopes, or `*`. */
  readonly topics: readonly string[];
  /** The position to resume from. */
  readonly since?: string;
}

/** One stream over a socket of its own, with all bytes as they came. It may stop to read. */
export class Listener {
  readonly events: StreamEvent[] = [];
  readonly #socket: Socket;
  #text = '';

  private constructor(socket: Socket) {
    this.#socket = socket;
    let head = true;
    const parser = createStreamParser((event) => this.events.push(event));
    socket.on('error', () => {}); // it was closed
    socket.on('data', (chunk: Buffer) => {
      let bytes = chunk;
      if (head) {
        const end = bytes.indexOf('\r\n\r\n');
        if (end < 0) throw new Error('Expected the head in one piece');
        head = false;
        bytes = bytes.subarray(end + 4);
      }
      this.#text += bytes.toString();
      parser.feed(bytes);
    });
  }

  /** Opens a stream, and waits until the server has it. */
  static async open({ url, token, topics, since }: ListenerOptions): Promise<Listener> {
    const { port, hostname } = new URL(url);
    const socket = connect(Number(port), hostname);
    const listener = new Listener(socket);
    const query = topics.map((topic) => `resources=${encodeURIComponent(topic)}`).join('&');
    const resume = since === undefined ? '' : `Last-Event-ID: ${since}\r\n`;
    socket.write(
      `GET /api/events?hold=0&${query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n${resume}\r\n`,
    );
    await until(() => listener.events.some(({ event }) => event === 'connected'), 'connected');
    return listener;
  }

  /** Reads no more until {@link Listener.resume}. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.destroy();
  }

  /** The id of the last event. */
  get position(): string | undefined {
    return this.events.at(-1)?.id;
  }

  /** The bytes of all events, without ids and what the server says of the stream itself. */
  get bytes(): string {
    const blocks = this.#text.split('\n\n').map((block) => block.replace(/^id: .*\n?/m, ''));
    return blocks.filter((block) => block !== '' && !/^(retry|: |event: (connected|health))/.test(block)).join('\n\n');
  }

  /** The keys that events of a topic name, and whether one says that anything may have changed. */
  told(topic: string): { readonly keys: ReadonlySet<number>; readonly anything: boolean } {
    const own = this.events.filter(
      ({ event, data }) => event === 'table-update' && formatTopic(data) === formatTopic(parseTopic(topic)),
    );
    const keys = new Set(own.flatMap(({ data }) => (data.keys ?? []) as number[]));
    return { keys, anything: own.some(({ data }) => data.keys === undefined && data.operation !== 'emit') };
  }
}
