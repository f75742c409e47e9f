import { now } from '../../client/timing.js';
import type { HistoryAnswer, MonitorState, ShownChanges } from '../report.js';
import { get } from './api.js';
import { ChangeBuffer } from './change-buffer.js';
import { Connection, type ConnectionState } from './connection.js';
import { HistoryModel } from './history-model.js';

/** The time between two requests for the newest buckets of the history, in ms: each is 5 s long. */
const HISTORY_MS = 5000;
/** The buckets that such a request asks for; after an interruption it is the whole hour. */
const NEWEST_BUCKETS = 12;

/** Everything that the page shows. It tells its listeners of news once a frame, whatever comes. */
export class MonitorStore {
  readonly changes = new ChangeBuffer();
  readonly history = new HistoryModel();
  connection: ConnectionState = { status: 'connecting', since: now() };
  state: MonitorState | undefined;
  lostAt: number | undefined;
  /** Counts the news of the history. */
  historyVersion = 0;
  readonly #listeners = new Set<() => void>();
  readonly #stream: Connection;
  readonly #timers: number[];
  #frame: number | undefined;
  #hasHour = false;

  constructor() {
    this.#stream = new Connection({
      onEvent: (event, data) => this.#take(event, data),
      onState: (state) => {
        this.connection = state;
        if (state.status === 'live') void this.#askHistory();
        else this.#hasHour = false;
        this.#changed();
      },
    });
    this.#timers = [
      window.setInterval(() => this.connection.status === 'live' && void this.#askHistory(), HISTORY_MS),
      // Shown spans of time grow while nothing comes.
      window.setInterval(() => this.#changed(), 250),
    ];
  }

  /** Calls `listener` after news, once a frame. @returns a function that ends it. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Closes the stream. */
  close(): void {
    this.#stream.close();
    for (const timer of this.#timers) clearInterval(timer);
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
  }

  #take(event: string, data: unknown): void {
    if (event === 'state') this.state = data as MonitorState;
    else if (event === 'changes') this.changes.add(data as ShownChanges);
    else if (event === 'lost') this.lostAt = now();
    else return;
    this.#changed();
  }

  async #askHistory(): Promise<void> {
    const wanted = this.#hasHour ? `history?last=${NEWEST_BUCKETS}` : 'history';
    try {
      this.history.take(await get<HistoryAnswer>(wanted));
      this.#hasHour = true;
      this.historyVersion += 1;
      this.#changed();
    } catch {
      this.#hasHour = false; // the connection says what is wrong
    }
  }

  #changed(): void {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = undefined;
      for (const listener of this.#listeners) listener();
    });
  }
}
