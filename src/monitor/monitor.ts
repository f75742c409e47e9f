import type { Writable } from 'node:stream';
import type { ChangeFeed } from '../feed/change-feed.js';
import { writePosition } from '../feed/log/epochs.js';
import { fromHex, toHex } from '../hex-text.js';
import { packageVersion } from '../package-root.js';
import { type SSEManager, UnknownClientError } from '../streams/manager.js';
import { History } from './history.js';
import { LiveChanges, type SentReading } from './live-changes.js';
import type { MonitorDatabase } from './monitor-database.js';
import { eventText, MonitorStream } from './monitor-stream.js';
import { Peers } from './peers.js';
import {
  BUCKETS,
  type HistoryAnswer,
  type HistoryReport,
  type LogReport,
  type MonitorState,
  type ServerState,
  type StreamList,
  type TablesReport,
} from './report.js';
import { answerText, type MonitorRequest, parseRequest } from './requests.js';
import { countBehind, listStreams } from './stream-list.js';
import { TestEvents } from './test-events.js';
import { Traces } from './traces.js';

/** Pages that this server shows the feed to at once; another is 429. */
export const MAX_MONITORS = 20;
/** The time between two reports to the pages, in ms. A sudden fault is sent sooner, with the changes. */
const STATE_MS = 500;
/** The time between two deliveries of changes, in ms. */
const CHANGES_MS = 100;
/** The time between two looks at the log, in ms. */
const LOG_MS = 2000;

/** The parts of a {@link Monitor}. */
export interface MonitorOptions {
  readonly changes: ChangeFeed;
  readonly streams: SSEManager;
  readonly database: MonitorDatabase;
  /** Ends all streams of a subject, at every server. */
  readonly endStreams: (of: { readonly subject: string }) => Promise<void>;
}

/** Shows what the feed does, on all servers. It counts all the time, and asks while a page is open. */
export class Monitor {
  readonly #options: MonitorOptions;
  readonly #history = new History();
  readonly #live = new LiveChanges();
  readonly #traces: Traces;
  readonly #peers: Peers;
  readonly #pages = new Set<MonitorStream>();
  readonly #startedAt = performance.now();
  readonly #stopListening: () => void;
  /** Test events of this server. */
  readonly tests: TestEvents;
  #timers: NodeJS.Timeout[] = [];
  #log: LogReport | null = null;
  /** The urgent part of the last state, and the time at which that was sent, by performance.now(). */
  #told = '';
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(options: MonitorOptions) {
    this.#options = options;
    const { changes, database } = options;
    const { calls, instanceId } = changes;
    this.#traces = new Traces(instanceId);
    this.#peers = new Peers({
      instanceId,
      calls,
      list: () => database.servers(),
      canReach: () => changes.health.database,
    });
    this.tests = new TestEvents({ database, traces: this.#traces, peers: this.#peers, instanceId });
    calls.answerWith('monitor', async (request) => answerText(await this.#answer(parseRequest(request))));
    this.#stopListening = changes.listen({
      onChanges: (read, position, measured) => {
        const { latest } = options.streams.sent;
        const lagsMs = measured ? changes.counts.lagsMs(measured) : [];
        const sent = latest?.position === position ? latest.sent : undefined;
        this.#take({ changes: read, measured, lagsMs, sent });
      },
      onLost: () => {
        for (const page of this.#pages) page.send('lost', {});
      },
    });
  }

  /** The number of open pages. */
  get pageCount(): number {
    return this.#pages.size;
  }

  /** Opens the stream of a page. */
  open(socket: Writable): MonitorStream {
    const page = new MonitorStream(socket);
    this.#pages.add(page);
    socket.once('close', () => {
      this.#pages.delete(page);
      if (this.#pages.size === 0) this.#pause();
    });
    page.send('hello', { server: this.#options.changes.instanceId, version: packageVersion, stateMs: STATE_MS });
    if (this.#timers.length === 0) this.#run();
    return page;
  }

  /** The last hour of each server that answers. @param last only so many buckets. @param subject who asks. */
  async history(last: number, subject: string): Promise<HistoryAnswer> {
    const buckets = Math.min(last, BUCKETS);
    const asked = await this.#peers.askAll<HistoryReport>({ kind: 'monitor', ask: 'history', last: buckets }, subject);
    const { instanceId } = this.#options.changes;
    const own = { id: instanceId, self: true, history: this.#history.report(buckets) };
    return { servers: [own, ...Array.from(asked, ([id, history]) => ({ id, self: false, history }))] };
  }

  /** Lists streams of all servers. @param search see {@link listStreams}. @param subject who asks. */
  async streams(search: string, subject: string): Promise<StreamList> {
    const question = { kind: 'monitor', ask: 'streams', search: toHex(search) } as const;
    const asked = await this.#peers.askAll<StreamList>(question, subject);
    const lists = [this.#ownStreams(search), ...asked.values()];
    return {
      streams: lists
        .flatMap(({ streams }) => streams)
        .sort((one, other) => +other.full - +one.full || one.openedAgoMs - other.openedAgoMs),
      total: lists.reduce((sum, { total }) => sum + total, 0),
    };
  }

  /** Lists the watched tables, with what the doctor finds. @param anew now, not within the last ten seconds. */
  tables(anew: boolean): Promise<TablesReport> {
    return this.#options.database.tables(anew);
  }

  /**
   * Ends a stream of a subject, wherever it is; without `client` all streams of the subject, at every server.
   * @param by who asks.
   * @returns false where no server has the stream, or its server does not answer.
   */
  async end({ subject, client }: { subject: string; client?: string | undefined }, by: string): Promise<boolean> {
    if (client === undefined) {
      await this.#options.endStreams({ subject });
      return true;
    }
    const [server] = client.split('.');
    if (server === this.#options.changes.instanceId) return this.#endOwn(client, subject);
    const question = { kind: 'monitor', ask: 'end', client: toHex(client), subject: toHex(subject) } as const;
    return (await this.#peers.askOne<{ ended: boolean }>(server ?? '', question, by))?.ended === true;
  }

  /** Ends the streams of all pages. */
  close(): void {
    this.#stopListening();
    this.#pause();
    for (const page of this.#pages) page.end('stopped');
  }

  #take(reading: SentReading): void {
    const { counts } = this.#options.changes;
    this.#history.add(reading.measured?.countsOf() ?? new Map(), reading.lagsMs);
    this.#traces.add(reading, counts.heardAt);
    if (this.#pages.size > 0) this.#live.add(reading);
  }

  #run(): void {
    this.#peers.start();
    const readLog = () => void this.#readLog();
    readLog();
    this.#timers = [
      setInterval(readLog, LOG_MS),
      setInterval(() => {
        this.#sendState();
        this.#sendChanges();
      }, CHANGES_MS),
    ];
  }

  #pause(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers = [];
    this.#peers.stop();
    this.#live.take();
  }

  async #readLog(): Promise<void> {
    const { database, changes } = this.#options;
    this.#log = await database.log().then(
      (log) => ({ ...log, ...changes.limits }),
      () => null, // the feed's own reads log the reason
    );
  }

  #sendChanges(): void {
    const shown = this.#live.take();
    if (!shown) return;
    const text = eventText('changes', shown);
    const all = shown.changes.length + shown.skipped;
    for (const page of this.#pages) {
      if (!page.sendText(text)) page.skipped += all;
      else if (page.skipped > 0 && page.send('changes', { changes: [], skipped: page.skipped })) page.skipped = 0;
    }
  }

  /** Sends the state twice a second, and at once where an operator should know it. */
  #sendState(): void {
    const { changes, streams } = this.#options;
    const { listener, readAgoMs } = changes.health;
    const own = [changes.leader.leading, listener, readAgoMs === null, countBehind(streams) > 0];
    const others = this.#peers.rows().map(({ id, answer, state }) => {
      return [id, answer, state?.leading, state?.listening, state?.readAgoMs === null, state && state.behind > 0];
    });
    const now = performance.now();
    const told = JSON.stringify([own, others]);
    if (told === this.#told && now - this.#toldAt < STATE_MS) return;
    this.#told = told;
    this.#toldAt = now;
    const text = eventText('state', this.#state());
    for (const page of this.#pages) page.sendText(text);
  }

  #state(): MonitorState {
    const { instanceId } = this.#options.changes;
    const self = { id: instanceId, place: this.#peers.ownPlace, self: true, answer: 'ok', answeredAgoMs: 0 } as const;
    return { servers: [{ ...self, state: this.#ownState() }, ...this.#peers.rows()], log: this.#log };
  }

  #ownState(): ServerState {
    const { changes, streams } = this.#options;
    const { leading, idle } = changes.leader;
    const { listener, readAgoMs } = changes.health;
    return {
      version: packageVersion,
      startedAgoMs: performance.now() - this.#startedAt,
      leading,
      idle,
      listening: listener,
      polling: changes.polling,
      readAgoMs,
      position: writePosition(changes.position),
      streams: streams.clientCount,
      behind: countBehind(streams),
      lagMs: this.#history.lastMinute() ?? null,
    };
  }

  #ownStreams(search: string): StreamList {
    const { changes, streams } = this.#options;
    return listStreams(changes.instanceId, streams, search);
  }

  #endOwn(client: string, subject: string): boolean {
    const { streams } = this.#options;
    try {
      streams.revoke(streams.requireClient(client, subject));
      return true;
    } catch (error) {
      if (error instanceof UnknownClientError) return false;
      throw error;
    }
  }

  async #answer(request: MonitorRequest): Promise<unknown> {
    switch (request.ask) {
      case 'state':
        return this.#ownState();
      case 'history':
        return this.#history.report(request.last);
      case 'streams':
        return this.#ownStreams(fromHex(request.search));
      case 'trace':
        return this.#traces.of(request.xid) ?? null;
      case 'end':
        return { ended: this.#endOwn(fromHex(request.client), fromHex(request.subject)) };
    }
  }
}
