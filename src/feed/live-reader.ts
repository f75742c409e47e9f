import type { FindPassword } from '../database/address.js';
import type { Logger } from '../logger.js';
import type { ExplainedFailures } from './explained-failures.js';
import type { FailureLog } from './failure-log.js';
import type { FeedCounts } from './feed-counts.js';
import type { ChangeLog } from './log/change-log.js';
import type { ReadingRow } from './log/change-rows.js';
import { epochId } from './log/epochs.js';
import { LogReader } from './log/log-reader.js';
import type { Position } from './log/position.js';
import type { Reading } from './log/reading.js';
import { Incoming } from './notify/incoming.js';
import { Leader } from './notify/leader.js';
import { CHANNEL, type NotificationHandlers, NotificationListener } from './notify/listener.js';
import { MessageReceiver } from './notify/message-receiver.js';
import type { MessageKey } from './notify/sealed-message.js';

/**
 * The time between two reads where transactions can be prepared, in ms. No writer notifies there, because PREPARE
 * TRANSACTION fails after NOTIFY.
 */
const SILENT_WRITERS_MS = 100;

/** The time after which a server that is told nothing reads, in ms; up to a quarter of it later. */
const READ_MS = 2000;

const LISTENER_FAILED = 'the connection that listens failed, connecting again';

/** The parts of a {@link LiveReader}. */
export interface LiveReaderOptions {
  readonly log: ChangeLog;
  /** A direct connection to Postgres. */
  readonly databaseUrl: string;
  /** Finds the password of each new connection. Default: that of the address. */
  readonly password: FindPassword | undefined;
  /** See `ChangeFeedOptions.readIntervalMs`. */
  readonly readIntervalMs: number | undefined;
  /** Takes the payload of a notification. @returns whether it was for something else. */
  readonly heard: (payload: string) => boolean;
  /** Takes what may have come while no notification was received, for something else. */
  readonly catchUp: () => void;
  readonly counts: FeedCounts;
  /** Receives everything that was read, each change once, in order. */
  readonly onReading: (reading: Reading) => void;
  readonly failures: FailureLog;
  /** For what reads or writes the schema. */
  readonly explained: ExplainedFailures;
  readonly logger: Logger;
}

/** Keeps a server at the end of the log: by notifications, by messages of the leader, and by a read every two seconds. */
export class LiveReader {
  readonly #options: LiveReaderOptions;
  readonly #listener: NotificationListener;
  readonly #incoming: Incoming;
  readonly #receiver: MessageReceiver;
  readonly #leader: Leader;
  #reader: LogReader | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** The number of changes that had been read when the leader last asked. */
  #foundBefore = 0;
  /** The time of the last read by the clock, by performance.now(). */
  #beatAt = Number.NEGATIVE_INFINITY;
  #stopped = false;

  constructor(options: LiveReaderOptions) {
    const { databaseUrl, password, log, heard, catchUp, counts, failures, explained, logger } = options;
    this.#options = options;
    this.#receiver = new MessageReceiver({
      keys: () => log.query<MessageKey>('select term, key from change_feed.message_key'),
      epoch: () => (this.#reader ? epochId(this.#reader.position) : ''),
    });
    this.#incoming = new Incoming({
      receiver: this.#receiver,
      heard,
      leader: () => this.#leader,
      reader: () => this.#reader,
      counts,
    });
    const handlers: NotificationHandlers = {
      onNotification: (notification) => this.#incoming.take(notification),
      onReconnected: () => {
        failures.succeeded(LISTENER_FAILED);
        catchUp();
        this.#incoming.forget();
        if (!this.#stopped) void this.#reader?.readNow();
      },
      onLost: () => failures.failed(LISTENER_FAILED),
      onError: (error) => failures.failed(LISTENER_FAILED, error),
    };
    this.#listener = new NotificationListener(databaseUrl, handlers, password);
    this.#leader = new Leader({
      databaseUrl,
      password,
      readIntervalMs: options.readIntervalMs ?? READ_MS,
      read: async () => ((await this.#reader?.read()) ? this.#found() : undefined),
      readWith: (ask) => this.#readByTheClock(ask),
      position: () => this.position,
      isListening: () => this.#listener.listening,
      answers: () => this.#incoming.answers(),
      onTerm: (term) => this.#incoming.begin(term),
      onFailure: () => void this.#reader?.read(),
      failures: explained,
      logger,
    });
  }

  /**
   * Begins to listen.
   * @param notify notifies over a connection like those of writers.
   * @throws {OperatorError} when a notification doesn't get through.
   */
  async listen(notify: (channel: string, payload: string) => Promise<unknown>): Promise<void> {
    await this.#listener.start((payload) => notify(CHANNEL, payload));
  }

  /** Begins to read. Resolves with the first read. */
  async begin(start: Position): Promise<void> {
    const { log, explained, onReading } = this.#options;
    this.#reader = new LogReader({
      log,
      start,
      failures: explained,
      onReading: (reading) => {
        // The other servers first: to tell thousands of streams takes longer.
        this.#leader.tell(reading);
        onReading(reading);
      },
      onBegin: () => this.#incoming.readBegins(),
    });
    await this.#reader.read();
  }

  /** Begins to ask for the lead. @param polls true where no writer notifies: then it reads at short intervals instead. */
  run(polls: boolean): void {
    if (polls) {
      this.#timer = setInterval(() => this.#poll(), SILENT_WRITERS_MS);
    } else {
      void this.#receiver.ask();
      this.#leader.start();
    }
  }

  /** Reads no more. Gives the lead away. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    this.#reader?.stop();
    this.#incoming.forget();
    await this.#leader.stop();
  }

  /** Ends the connection that listens. */
  close(): Promise<void> {
    return this.#listener.stop();
  }

  /** The position up to which this server has told. */
  get position(): Position {
    if (!this.#reader) throw new Error('The feed has not been started');
    return this.#reader.position;
  }

  /** The reader; undefined before {@link LiveReader.begin}. */
  get reader(): LogReader | undefined {
    return this.#reader;
  }

  /** True where the log can be read, and where notifications are received, and the ms since the last read; null: none succeeds. */
  get health(): { readonly database: boolean; readonly listener: boolean; readonly readAgoMs: number | null } {
    const { healthy = false, readAgoMs = null } = this.#reader ?? {};
    return { database: healthy, listener: this.#listener.listening, readAgoMs };
  }

  /** The part of this server that leads, or asks for it. */
  get leader(): Leader {
    return this.#leader;
  }

  /** Resolves with the next read that succeeds, or when there will be none. */
  async recovered(): Promise<void> {
    await this.#reader?.recovered();
  }

  #found(): number {
    const { changes } = this.#options.counts;
    const found = changes - this.#foundBefore;
    this.#foundBefore = changes;
    return found;
  }

  #poll(): void {
    void this.#reader?.read();
    if (performance.now() - this.#beatAt < READ_MS) return;
    this.#beatAt = performance.now();
    if (this.#listener.listening) void this.#listener.check();
    else this.#options.catchUp();
  }

  async #readByTheClock(ask: (parameters: unknown[]) => Promise<ReadingRow[]>): Promise<void> {
    const before = this.#beatAt;
    this.#beatAt = performance.now();
    const found = await this.#reader?.readWith(async (parameters) => {
      const rows = await ask(parameters);
      if (rows[0]?.orders || !this.#listener.listening) this.#options.catchUp();
      return rows;
    });
    // Of what it found nobody has told it, nor of anything else since the read before: is it still listening?
    if (found && this.#listener.receivedAt < before) void this.#listener.check();
  }
}
