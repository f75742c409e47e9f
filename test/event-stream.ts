import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { until } from './until.js';

/** An event as the standard's parser sees it. */
export interface StreamEvent {
  readonly event: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  readonly data: any;
  /** The stream's last event id when this event was dispatched. */
  readonly id: string | undefined;
}

/** A stream that a test has opened. */
export interface EventStream {
  readonly response: Response;
  /** All events so far. */
  readonly events: StreamEvent[];
  /** Names of the resources that were updated so far, in order. */
  readonly updates: string[];
  /** Everything received so far, as bytes. */
  readonly received: Uint8Array[];
  /** What a browser would send as Last-Event-ID. */
  readonly lastEventId: () => string | undefined;
  /** Whether the server has ended the stream. */
  readonly ended: () => boolean;
  /** The first event that fits, waited for. */
  next(fits: (event: StreamEvent) => boolean): Promise<StreamEvent>;
  /** `connected`'s clientId. */
  clientId(): Promise<string>;
  /** Leaves. */
  close(): void;
}

/** Opens a stream over a real socket, and parses it with eventsource-parser. Throws when the answer isn't a stream. */
export async function openStream(url: string, headers: Record<string, string> = {}): Promise<EventStream> {
  const abort = new AbortController();
  const response = await fetch(url, { headers, signal: abort.signal });
  if (response.status !== 200 || !response.body) {
    abort.abort();
    throw new Error(`Expected a stream, got ${response.status}`);
  }
  const events: StreamEvent[] = [];
  const received: Uint8Array[] = [];
  let lastEventId: string | undefined;
  let ended = false;

  // The parser only reports ids of events with data; the standard takes an id from a block without data, too.
  let block: string[] = [];
  const parser = createParser({
    onEvent: (message: EventSourceMessage) => {
      events.push({
        event: message.event ?? 'message',
        data: JSON.parse(message.data),
        id: idOf(block) ?? lastEventId,
      });
    },
  });
  const decoder = new TextDecoder();
  let rest = '';
  const feed = (text: string) => {
    rest += text;
    for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
      const whole = rest.slice(0, end + 2);
      rest = rest.slice(end + 2);
      block = whole.split('\n');
      parser.feed(whole);
      lastEventId = idOf(block) ?? lastEventId;
    }
  };
  void (async () => {
    try {
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        received.push(chunk);
        feed(decoder.decode(chunk, { stream: true }));
      }
    } catch {
      // aborted by close(), or cut off
    } finally {
      ended = true;
    }
  })();

  const next = async (fits: (event: StreamEvent) => boolean) => {
    await until(() => events.some(fits));
    return events.find(fits) as StreamEvent;
  };
  return {
    response,
    events,
    get updates() {
      return events.filter(({ event }) => event === 'table-update').map(({ data }) => data.resource);
    },
    received,
    lastEventId: () => lastEventId,
    ended: () => ended,
    next,
    clientId: async () => (await next(({ event }) => event === 'connected')).data.clientId,
    close: () => abort.abort(),
  };
}

function idOf(block: readonly string[]): string | undefined {
  return block
    .filter((line) => line.startsWith('id: '))
    .map((line) => line.slice(4))
    .at(-1);
}
