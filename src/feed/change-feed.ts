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
import { LiveReader } from './live-reader.js';
import { ChangeLog } from './log/change-log.js';
import { resolve, writePosition } from './log/epochs.js';
import { type LogState, readLogState } from './log/log-state.js';
import type { Position } from './log/position.js';
import type { Reading } from './log/reading.js';
import { Maintenance } from './maintenance.js';
import { Resources } from './resources.js';
import { Revocations } from './servers/revocations.js';
import { ServerAnswers } from './servers/server-answers.js';
import { ServerCalls, type ServerCallsOptions } from './servers/server-calls.js';
import { ServerReport } from './servers/server-report.js';
import { checkDatabaseServer } from './start-check.js';

/** How often a query of one client is tried while the feed itself can read. */
const MAX_ATTEMPTS = 3;

/**
 * The feed of one server: it reads from the log what is new, or takes from the leader's messages what that has read, and
 * tells its listeners. The log is the truth; a lost notification only delays.
 */
export class ChangeFeed {
  readonly #log: ChangeLog;
  readonly #options: ChangeFeedOptions;
  readonly #logger: Logger;
  readonly #failures: FailureLog;
  /** For what reads or writes the schema, which may be replaced meanwhile. */
  readonly #explained: ExplainedFailures;
  readonly #listeners: FeedListeners;
  readonly #maintenance: Maintenance;
  /** Names this server on the channel, and in the ids of its clients. */
  readonly instanceId = randomBytes(4).toString('hex');
  /** Asks other servers, and answers them. */
  readonly calls: ServerCalls;
  /** Tells all servers whose rights were withdrawn. */
  readonly revocations: Revocations;
  readonly #live: LiveReader;
  readonly #report: ServerReport;
  readonly #answers: ServerAnswers;
  readonly #resources: Resources;
  /** The scopes of tables, and who needs them told apart. */
  readonly scopes: FeedScopes;
  /** What has happened since the start, for metrics. */
  readonly counts = new FeedCounts();
  #polling = false;
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
      leads: () => this.#live.leader.leading || this.#polling,
      follows: () => this.#live.leader.following,
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
    this.#live = new LiveReader({
      log: this.#log,
      databaseUrl: listenDatabaseUrl,
      password,
      readIntervalMs: options.readIntervalMs,
      heard: (payload) => [this.calls, this.revocations, this.#answers].some((part) => part.heard(payload)),
      catchUp: () => {
        for (const part of [this.calls, this.revocations]) part.catchUp();
      },
      counts: this.counts,
      onReading: (reading) => this.#tell(reading),
      failures: this.#failures,
      explained: this.#explained,
      logger: this.#logger,
    });
    const self = {
      instanceId: this.instanceId,
      state: () => ({
        streams: options.streams?.() ?? 0,
        leading: this.#live.leader.leading,
        listening: this.health.listener,
        readAgoMs: this.health.readAgoMs,
      }),
      query,
      logger: this.#logger,
    };
    this.#report = new ServerReport(self);
    this.#answers = new ServerAnswers({
      ...self,
      looks: () => this.#live.leader.leading || this.#polling || !this.health.listener,
      reader: () => this.#live.reader,
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
    await this.#live.listen(this.#options.notify);
    const { recent, position } = await beginWithRecent(this.#log, this.#options.recentChanges);
    this.#recent = recent;
    // What was notified of meanwhile is read, too; the first report says how that went.
    await this.#live.begin(position);
    // Before its first client: to the other servers it exists from now on.
    await this.revocations.start();
    if (!this.#stopping) await this.#report.start();
    if (!this.#stopping) this.#live.run(mayPrepare);
    if (!this.#stopping) for (const part of [this.#answers, this.calls]) part.start();
    this.#maintenance.start();
  }

  /** Stops reading. Listeners hear nothing more. May be called again. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    for (const part of [this.#maintenance, this.calls]) part.stop();
    await Promise.all([this.#live.stop(), this.#report.stop(), this.#answers.stop()]);
    await Promise.all([this.#live.close(), this.#log.close()]);
  }

  /** How far this server has read. */
  get position(): Position {
    return this.#live.position;
  }

  /** True where the log can be read, and where notifications are received, and the ms since the last read; null: none succeeds. */
  get health(): { readonly database: boolean; readonly listener: boolean; readonly readAgoMs: number | null } {
    return this.#live.health;
  }

  /** Tells whether this server leads, whether it is idle until a notification comes, and how many it has sent as the leader. */
  get leader(): { readonly leading: boolean; readonly idle: boolean; readonly notifications: number } {
    return this.#live.leader;
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

  #tell(reading: Reading): void {
    this.#recent?.add(reading);
    this.#resources.add(reading.changes);
    if (reading.lost) this.#resources.forget();
    this.#listeners.tell(reading);
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
        await this.#live.recovered();
      }
    }
  }
}
