import { type EventStream, openStream, type StreamEvent } from '../event-stream.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { until } from '../until.js';

/** A server on a database with tenants, of which each has invoices. */
export interface TenantServer extends TestServer {
  /** Opens a stream for topics, which also shows what {@link TenantServer.reached} waits for. */
  follow(topics: readonly string[], options?: FollowOptions): Promise<EventStream>;
  /** Waits until streams have all that has committed so far. @returns the place of the event that shows it, in each. */
  reached(streams: readonly EventStream[]): Promise<number[]>;
  /** Runs statements. @returns what each stream receives of them. */
  eventsOf(streams: readonly EventStream[], statements: string, values?: unknown[]): Promise<object[][]>;
}

/** The options of a stream. */
export interface FollowOptions {
  readonly token?: string;
  /** The server's address. */
  readonly at?: string;
  readonly since?: string;
}

/**
 * The topic whose events show how far a stream has come. Each stream is subscribed to it. A scope's events come one by one
 * also where other changes are summed up.
 */
export const FENCE = 'zaun?x=1';

/** An event's data, without the writer. */
export function toldOf({ data: { origin, ...rest } }: StreamEvent): Record<string, unknown> {
  return rest;
}

/** Starts a server whose table `rechnung` has the scopes `mandant_id`, `mandant_id&projekt_id`, and `name`. */
export async function startTenantServer(options: Parameters<typeof startTestServer>[0] = {}): Promise<TenantServer> {
  const server = await startTestServer({ holdMs: 0, ...options });
  await server.psql(`
    create table mandant (id int primary key);
    create table rechnung (
      id int primary key, mandant_id int references mandant on delete cascade, projekt_id int, betrag int, name text);
    select change_feed.watch('rechnung', scopes => '{mandant_id, mandant_id&projekt_id, name}')`);
  let fences = 0;

  const follow: TenantServer['follow'] = async (topics, { token, at = server.url, since } = {}) => {
    const query = [...topics, FENCE].map((topic) => `resources=${encodeURIComponent(topic)}`).join('&');
    const stream = await openStream(`${at}/api/events?hold=0&${query}`, {
      Authorization: `Bearer ${token ?? (await server.token())}`,
      ...(since !== undefined && { 'Last-Event-ID': since }),
    });
    await stream.clientId();
    return stream;
  };
  const reached: TenantServer['reached'] = async (streams) => {
    fences += 1;
    const number = fences;
    await server.psql(`select change_feed.emit('zaun', $1, '{"x": 1}')`, [number]);
    const placeIn = ({ events }: EventStream) =>
      events.findIndex(({ data }) => data.resource === 'zaun' && data.data === number);
    await until(() => streams.every((stream) => placeIn(stream) >= 0));
    return streams.map(placeIn);
  };
  const eventsOf: TenantServer['eventsOf'] = async (streams, statements, values) => {
    const first = await reached(streams);
    await server.psql(statements, values);
    const last = await reached(streams);
    return streams.map(({ events }, place) => events.slice((first[place] ?? 0) + 1, last[place]).map(toldOf));
  };
  return { ...server, follow, reached, eventsOf };
}
