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
  let ended = false;
  const parser = createStreamParser((event) => events.push(event));
  void (async () => {
    try {
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        received.push(chunk);
        parser.feed(chunk);
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
    lastEventId: parser.lastEventId,
    ended: () => ended,
    next,
    clientId: async () => (await next(({ event }) => event === 'connected')).data.clientId,
    close: () => abort.abort(),
  };
}

/**
 * The standard's parser for a stream's bytes, with the last event id as a browser keeps it: eventsource-parser reports
 * ids of events with data only, and the standard takes one from a block without data, too.
 */
export function createStreamParser(onEvent: (event: StreamEvent) => void) {
  let lastEventId: string | undefined;
  let block: string[] = [];
  let rest = '';
  const decoder = new TextDecoder();
  const parser = createParser({
    onEvent: ({ event = 'message', data }: EventSourceMessage) => {
      onEvent({ event, data: JSON.parse(data), id: idOf(block) ?? lastEventId });
    },
  });
  return {
    lastEventId: () => lastEventId,
    feed: (chunk: Uint8Array) => {
      rest += decoder.decode(chunk, { stream: true });
      for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
        const whole = rest.slice(0, end + 2);
        rest = rest.slice(end + 2);
        block = whole.split('\n');
        parser.feed(whole);
        lastEventId = idOf(block) ?? lastEventId;
      }
    },
  };
}

function idOf(block: readonly string[]): string | undefined {
  return block
    .filter((line) => line.startsWith('id: '))
    .map((line) => line.slice(4))
    .at(-1);
}
