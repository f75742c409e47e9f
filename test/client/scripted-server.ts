import { type Change, SSEService, type SSEServiceOptions } from '../../src/client/index.js';
import { formatTopic, parseTopic, type Scope } from '../../src/scope.js';

/** What a request of the client's gets: an answer, a failure of the network, or none for so long, in ms. */
export type Fault = 'drop' | 'html' | 'busy' | 'forbidden' | 'revoked' | { readonly delayMs: number } | undefined;

/** One request that the server has got. */
export interface Request {
  /** By `performance.now()`. */
  readonly at: number;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  readonly body: any;
}

interface Stream {
  readonly id: string;
  readonly topics: Set<string>;
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
  open: boolean;
}

interface Logged {
  readonly xid: number;
  readonly change: Change;
  /** The scopes that the change is in. */
  readonly scopes: readonly Scope[];
}

const text = new TextEncoder();

/**
 * The feed in memory, behind a `fetch` that fails as a test says: it speaks the protocol, and its time is that of the
 * test's clock.
 */
export class ScriptedServer {
  readonly requests: Request[] = [];
  readonly streams: Stream[] = [];
  /** Asked for each request. */
  fault: (request: Request) => Fault = () => undefined;
  /** What streams advise, in ms. */
  retryMs = 1000;
  heartbeatMs: number | undefined = 30_000;
  /** Positions before it cannot be replayed. */
  horizon = 1;
  /** Streams forget the position, as behind a proxy that strips it. */
  stripsPosition = false;
  /** Streams are accepted, and nothing of them arrives. */
  mute = false;
  /** Every answer takes so long, in ms. */
  delayMs = 0;
  /** Requests end after so long, in ms, with whatever they have got. */
  cutMs = Number.POSITIVE_INFINITY;
  readonly #waiting = new Set<() => void>();
  readonly #log: Logged[] = [];
  #next = 1;
  #named = 0;

  /** The position of now. */
  get position(): string {
    return `e.${this.#next}:${this.#next}:`;
  }

  /** The open streams. */
  get open(): Stream[] {
    return this.streams.filter(({ open }) => open);
  }

  /** Makes a service on this server, with a token, which writes nothing to the console. */
  service(options: SSEServiceOptions = {}): SSEService {
    return new SSEService({
      url: 'http://server/api/events',
      getToken: () => 'token',
      fetch: this.fetch,
      logger: { debug: () => {}, warn: () => {} },
      ...options,
    });
  }

  readonly fetch: typeof fetch = async (input, init = {}) => {
    const url = new URL(String(input), 'http://server');
    const request: Request = {
      at: performance.now(),
      path: url.pathname,
      query: url.searchParams,
      headers: new Headers(init.headers),
      body: init.body ? JSON.parse(String(init.body)) : undefined,
    };
    this.requests.push(request);
    const signal = init.signal as AbortSignal;
    const fault = this.fault(request);
    if (fault === 'drop') throw new TypeError('fetch failed');
    if (fault === 'html') return new Response('<h1>Welcome</h1>', { headers: { 'Content-Type': 'text/html' } });
    if (fault === 'busy') return new Response('', { status: 503 });
    if (fault === 'forbidden') return Response.json({ error: { message: 'not allowed' } }, { status: 403 });
    if (fault === 'revoked') return Response.json({ error: { code: 'revoked' } }, { status: 403 });
    if (fault) await delayed(fault.delayMs, signal);
    if (this.delayMs > 0) await delayed(this.delayMs, signal);
    if (signal.aborted) throw signal.reason;
    const stream = init.method !== 'POST' && !url.pathname.endsWith('/poll');
    if (stream && this.mute) {
      await delayed(2 ** 31 - 1, signal);
      throw signal.reason;
    }
    if (url.pathname.endsWith('/poll')) return this.#poll(request, signal);
    if (init.method === 'POST') return this.#post(request);
    return this.#open(request, signal);
  };

  /** Commits a change, and tells the streams. @param scopes those that it is in. */
  commit(resource: string, data: unknown, scopes: readonly Scope[] = []): void {
    const logged = { xid: this.#next, change: { resource, operation: 'emit' as const, data }, scopes };
    this.#log.push(logged);
    this.#next += 1;
    for (const wake of this.#waiting) wake();
    for (const stream of this.open) this.#tell(stream, toldOf(logged, stream.topics));
  }

  /** Sends bytes of the test's own on every stream. */
  say(bytes: string): void {
    for (const stream of this.open) this.#send(stream, bytes);
  }

  /** What a heartbeat is. */
  beat(): void {
    this.say(`: heartbeat\nid: ${this.position}\n\n`);
  }

  /** Ends all streams. @param broken without an end, as a network does. */
  cut(broken = false): void {
    for (const stream of this.open) {
      stream.open = false;
      if (broken) stream.controller.error(new TypeError('network error'));
      else stream.controller.close();
    }
  }

  /** Nothing that was sent until now can be replayed. */
  prune(): void {
    this.horizon = this.#next;
  }

  #open({ query }: Request, signal: AbortSignal): Response {
    const since = this.stripsPosition ? undefined : (query.get('lastEventId') ?? undefined);
    const topics = topicsIn(query);
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#named += 1;
        const stream: Stream = { id: `c${this.#named}`, topics, controller, open: true };
        this.streams.push(stream);
        signal.addEventListener('abort', () => {
          if (stream.open) controller.error(signal.reason);
          stream.open = false;
        });
        const missed = this.#since(since, topics);
        const connected = { clientId: stream.id, resumed: missed !== undefined, heartbeatMs: this.heartbeatMs };
        const startId = missed && since ? since : this.position;
        this.#send(
          stream,
          `retry: ${this.retryMs}\n\nid: ${startId}\nevent: connected\ndata: ${JSON.stringify(connected)}\n\n`,
        );
        this.#tell(stream, missed ?? (since === undefined ? [] : resyncsOf(topics)));
      },
    });
    return new Response(body, { headers: { 'Content-Type': 'text/event-stream; charset=utf-8' } });
  }

  #post({ path, body }: Request): Response {
    const stream = this.open.find(({ id }) => id === body.clientId);
    if (!stream) return new Response('', { status: 404 });
    if (path.endsWith('/subscribe')) stream.topics.add(body.resource);
    else stream.topics.delete(body.resource);
    return Response.json({ success: true, resource: body.resource, watched: true });
  }

  async #poll({ query }: Request, signal: AbortSignal): Promise<Response> {
    const since = query.get('lastEventId') ?? undefined;
    const topics = topicsIn(query);
    const answer = () => this.#since(since, topics) ?? (since === undefined ? [] : resyncsOf(topics));
    const waitMs = since === undefined ? 0 : Number(query.get('wait')) * 1000;
    const end = performance.now() + waitMs;
    const cutAt = performance.now() + this.cutMs;
    while (answer().length === 0 && performance.now() < end) {
      if (performance.now() >= cutAt) throw new TypeError('network error');
      const changed = new AbortController();
      const wake = () => changed.abort();
      this.#waiting.add(wake);
      await delayed(Math.min(end, cutAt) - performance.now(), AbortSignal.any([signal, changed.signal]));
      this.#waiting.delete(wake);
      if (signal.aborted) throw signal.reason;
    }
    return Response.json({ events: answer(), position: this.position });
  }

  /** Undefined: it cannot be told. */
  #since(position: string | undefined, topics: ReadonlySet<string>): Change[] | undefined {
    const at = Number(/^e\.(\d+):/.exec(position ?? '')?.[1] ?? Number.NaN);
    if (Number.isNaN(at) || at < this.horizon) return undefined;
    return this.#log.filter(({ xid }) => xid >= at).flatMap((logged) => toldOf(logged, topics));
  }

  /** Sends changes at once, the last with the position. */
  #tell(stream: Stream, changes: readonly Change[]): void {
    const last = changes.length - 1;
    const parts = changes.map((change, place) => update(change, place === last ? this.position : undefined));
    if (parts.length > 0) this.#send(stream, parts.join(''));
  }

  #send(stream: Stream, bytes: string): void {
    stream.controller.enqueue(text.encode(bytes));
  }
}

/** Reads the topics that a stream or poll asks for. */
function topicsIn(query: URLSearchParams): Set<string> {
  const texts = (query.get('resources') ?? '').split(',').filter((text) => text !== '');
  return new Set(texts.map((text) => formatTopic(parseTopic(text))));
}

/** A change as subscribers of these topics receive it: those of the whole once, as the whole; others for each scope. */
function toldOf({ change, scopes }: Logged, topics: ReadonlySet<string>): Change[] {
  const { resource } = change;
  if (topics.has(resource) || topics.has('*')) return [change];
  return scopes.filter((scope) => topics.has(formatTopic({ resource, scope }))).map((scope) => ({ ...change, scope }));
}

function resyncsOf(topics: ReadonlySet<string>): Change[] {
  return Array.from(topics, (topic) => ({ ...parseTopic(topic), reason: 'resync' }));
}

/** `event: table-update`, as the server writes it. */
export function update(change: Change, id?: string): string {
  return `${id ? `id: ${id}\n` : ''}event: table-update\ndata: ${JSON.stringify(change)}\n\n`;
}

/** Resolves after so long by the test's clock. */
function delayed(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
