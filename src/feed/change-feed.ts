import { randomBytes } from 'node:crypto';
import type { Logger } from '../logger.js';
import { beginWithRecent } from './catch-up/begin.js';
import type { RecentChanges } from './catch-up/recent-changes.js';
import { SharedReplay } from './catch-up/shared-replay.js';
import type { ChangeFeedOptions } from './change-feed-options.js';
import { ExplainedFailures } from './explained-failures.js';
import { FailureLog } from './failure-log.js';
import { FeedCounts } from './feed-counts.js';
import { type FeedListener, FeedListeners } from './feed-listeners.js';
import { FeedScopes } from './feed-scopes.js';
import { ChangeLog } from './log/change-log.js';
import { resolve, writePosition } from './log/epochs.js';
import { LogReader } from './log/log-reader.js';
import { type LogState, readLogState } from './log/log-state.js';
import type { Position } from './log/position.js';
import type { Reading } from './log/reading.js';
import { Maintenance } from './maintenance.js';
import { Leader } from './notify/leader.js';
import { CHANNEL, type NotificationHandlers, NotificationListener } from './notify/listener.js';
import { Resources } from './resources.js';
import { Revocations } from './servers/revocations.js';
import { ServerAnswers } from './servers/server-answers.js';
import { ServerCalls, type ServerCallsOptions } from './servers/server-calls.js';
import { ServerReport } from './servers/server-report.js';
import { checkDatabaseServer } from './start-check.js';

/**
 * The time between two reads where transactions can be prepared, in ms. No writer notifies there, because PREPARE
 * TRANSACTION fails after NOTIFY.
 */
const SILENT_WRITERS_MS = 100;

const LISTENER_FAILED = 'the connection that listens failed, connecting again';
/** How often a query of one client is tried while the feed itself can read. */
const MAX_ATTEMPTS = 3;

/**
 * The feed of one server: a notification lets it read from the log what is new, and it tells its listeners.
 * The log is the truth; a lost notification only delays.
 */
export class ChangeFeed {
  readonly #log: ChangeLog;
  readonly #listener: NotificationListener;
  readonly #options: ChangeFeedOptions;
  readonly #logger: Logger;
  readonly #failures: FailureLog;
  /** For what reads or writes the schema, which may be replaced meanwhile. */
  readonly #explained: ExplainedFailures;
  readonly #listeners: FeedListeners;
  readonly #maintenance: Maintenance;
  #timer: NodeJS.Timeout | undefined;
  /** Names this server on the channel, and in the ids of its clients. */
  readonly instanceId = randomBytes(4).toString('hex');
  /** The payload of this server's own notifications, as the leader. */
  readonly #notificationId = randomBytes(8).toString('hex');
  /** Asks other servers, and answers them. */
  readonly calls: ServerCalls;
  /** Tells all servers whose rights were withdrawn. */
  readonly revocations: Revocations;
  readonly #leader: Leader;
  readonly #report: ServerReport;
  readonly #answers: ServerAnswers;
  readonly #resources: Resources;
  /** The scopes of tables, and who needs them told apart. */
  readonly scopes: FeedScopes;
  /** What has happened since the start, for metrics. */
  readonly counts = new FeedCounts();
  /** The number of changes that had been read when the leader last asked. */
  #foundBefore = 0;
  #polling = false;
  #reader: LogReader | undefined;
  #recent: RecentChanges | undefined;
  readonly #sharedReplay: SharedReplay;
  #stopping: Promise<void> | undefined;

  constructor(options: ChangeFeedOptions) {
    this.#options = options;
    this.#logger = options.logger;
    this.#failures = new FailureLog(options.logger);
    const { listenDatabaseUrl, password } = options;
    const onError = (error: Error) => this.#failures.happened('a connection to the log broke', error);
    this.#log = new ChangeLog(listenDatabaseUrl, onError, password);
    this.#explained = new ExplainedFailures(this.#failures, (text, values) => this.#log.query(text, values));
    this.#listeners = new FeedListeners(this.#logger);
    this.#maintenance = new Maintenance({
      log: this.#log,
      ...this.limits,
      looksForDdl: () => this.#leader.leading || this.#polling,
      failures: this.#explained,
      logger: this.#logger,
    });
    this.#resources = new Resources(this.#log);
    this.scopes = new FeedScopes(this.#log, this.#resources);
    this.#sharedReplay = new SharedReplay({
      read: (since, resources) => this.#log.replay(since, resources),
      recent: (since, resources) => this.#recent?.since(since, this.position, resources),
      now: () => this.position,
    });
    const query: ServerCallsOptions['query'] = (text, values) => this.#log.query(text, values);
    const health = () => this.health;
    this.calls = new ServerCalls({ instanceId: this.instanceId, query, health, logger: this.#logger });
    this.revocations = new Revocations({ query, logger: this.#logger });
    const handlers: NotificationHandlers = {
      onNotification: (payload) => {
        if (payload === this.#notificationId) return;
        if ([this.calls, this.revocations, this.#answers].some((part) => part.heard(payload))) return;
        this.counts.heard(payload);
        this.#leader.notified(payload);
        this.#wake();
      },
      onReconnected: () => {
        this.#failures.succeeded(LISTENER_FAILED);
        for (const part of [this.calls, this.revocations]) part.catchUp();
        if (!this.#stopping) void this.#reader?.readNow();
      },
      onLost: () => this.#failures.failed(LISTENER_FAILED),
      onError: (error) => this.#failures.failed(LISTENER_FAILED, error),
    };
    this.#listener = new NotificationListener(listenDatabaseUrl, handlers, password);
    this.#leader = new Leader({
      databaseUrl: listenDatabaseUrl,
      password,
      notificationId: this.#notificationId,
      read: async () => {
        if (!(await this.#reader?.read())) return;
        const found = this.counts.changes - this.#foundBefore;
        this.#foundBefore = this.counts.changes;
        return found;
      },
      isListening: () => this.#listener.listening,
      failures: this.#explained,
      logger: this.#logger,
    });
    const self = {
      instanceId: this.instanceId,
      state: () => ({
        streams: options.streams?.() ?? 0,
        leading: this.#leader.leading,
        listening: this.#listener.listening,
        readAgoMs: this.#reader?.readAgoMs ?? null,
      }),
      query,
      logger: this.#logger,
    };
    this.#report = new ServerReport(self);
    this.#answers = new ServerAnswers({
      ...self,
      looks: () => this.#leader.leading || this.#polling || !this.#listener.listening,
      reader: () => this.#reader,
      sent: options.sent,
    });
  }

  /**
   * Begins to listen and to read.
   * @throws {OperatorError} when the schema is missing, the server is a standby, or a NOTIFY doesn't get through.
   */
  async start(): Promise<void> {
    await this.#start().catch(async (error: unknown) => {
      await this.stop();
      throw error;
    });
  }

  async #start(): Promise<void> {
    const { mayPrepare } = await checkDatabaseServer(this.#log, this.#options.listenDatabaseUrl);
    this.#polling = mayPrepare;
    await this.#listener.start((payload) => this.#options.notify(CHANNEL, payload));
    const { recent, position } = await beginWithRecent(this.#log, this.#options.recentChanges);
    this.#recent = recent;
    this.#reader = new LogReader(this.#log, position, this.#explained, (reading) => this.#tell(reading));
    // What was notified of while it was being made; the first report says how that went.
    await this.#reader.read();
    // Before its first client: to the other servers it exists from now on.
    await this.revocations.start();
    if (!this.#stopping) await this.#report.start();
    if (!mayPrepare) this.#leader.start();
    if (!this.#stopping) for (const part of [this.#answers, this.calls]) part.start();
    const interval = mayPrepare ? SILENT_WRITERS_MS : (this.#options.readIntervalMs ?? 1000);
    if (interval > 0) this.#timer = setInterval(() => this.#wake(), interval);
    this.#maintenance.start();
  }

  /** Stops reading. Listeners hear nothing more. May be called again. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    clearInterval(this.#timer);
    for (const part of [this.#maintenance, this.calls, this.#reader]) part?.stop();
    await Promise.all([this.#leader.stop(), this.#report.stop(), this.#answers.stop()]);
    await Promise.all([this.#listener.stop(), this.#log.close()]);
  }

  /** How far this server has read. */
  get position(): Position {
    if (!this.#reader) throw new Error('The feed has not been started');
    return this.#reader.position;
  }

  /** True where the log can be read, and where notifications are received, and the ms since the last read; null: none succeeds. */
  get health(): { readonly database: boolean; readonly listener: boolean; readonly readAgoMs: number | null } {
    const { healthy = false, readAgoMs = null } = this.#reader ?? {};
    return { database: healthy, listener: this.#listener.listening, readAgoMs };
  }

  /** Tells whether this server leads, whether it is idle until a notification comes, and how many it has sent as the leader. */
  get leader(): { readonly leading: boolean; readonly idle: boolean; readonly notifications: number } {
    return this.#leader;
  }

  /** Tells whether no writer notifies, since transactions can be prepared, and the log is read at short intervals instead. */
  get polling(): boolean {
    return this.#polling;
  }

  /** How long changes stay in the log, in seconds, and how many at the most. */
  get limits(): { readonly retentionS: number; readonly maxRows: number } {
    const { retentionS = 24 * 60 * 60, maxRows = 10_000_000 } = this.#options;
    return { retentionS, maxRows };
  }

  /** The log as it stands. @throws what pg throws when the database can't be reached. */
  logState(): Promise<LogState> {
    return readLogState(this.#log);
  }

  /** Tells `listener` everything that is read from now on. Returns how to end that. */
  listen(listener: FeedListener): () => void {
    return this.#listeners.add(listener);
  }

  /**
   * What committed after `from`, up to now. While the database can't be reached it waits for it.
   * @throws when the log can be read, and this stretch can't.
   * @param resources only these; all unless given.
   */
  async changesSince(from: Position, resources?: readonly string[]): Promise<Reading> {
    const since = resolve(from);
    const known = this.#recent?.since(since, this.position, resources);
    const reading = known ?? (await this.#whenReadable(() => this.#sharedReplay.since(since, resources)));
    if (!reading.lost) this.counts.replays[known ? 'memory' : 'log'] += 1;
    return reading;
  }

  /** The position of now: rows fetched after this call are followed by reading the feed from here, with no gap. */
  async currentPosition(): Promise<string> {
    return writePosition(await this.#log.position());
  }

  /** All resources that are watched or stand in the log: what may have changed when nobody can tell. */
  allResources(): Promise<readonly string[]> {
    return this.#whenReadable(() => this.#resources.all());
  }

  /** Whether a table is watched as `resource`. Known for a second. */
  isWatched(resource: string): Promise<boolean> {
    return this.#resources.isWatched(resource);
  }

  #wake(): void {
    if (this.#stopping) return;
    if (!this.#listener.listening) this.revocations.catchUp();
    void this.#reader?.read();
  }

  #tell(reading: Reading): void {
    this.#recent?.add(reading);
    this.#resources.add(reading.changes);
    if (reading.lost) this.#resources.forget();
    if (this.#listeners.tell(reading)) this.#leader.hasNews();
    this.counts.read(reading);
  }

  /** A failed query waits until the feed itself has read the log again, and is then tried anew. */
  async #whenReadable<Result>(query: () => Promise<Result>): Promise<Result> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await query();
      } catch (error) {
        if (this.#stopping || attempt === MAX_ATTEMPTS) throw error;
        this.#failures.happened('a stretch of the log could not be read, trying again', error);
        await this.#reader?.recovered();
      }
    }
  }
}
