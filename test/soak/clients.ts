import { type ClientRequest, get, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { createStreamParser } from '../event-stream.js';
import type { Account, Told } from './ledger.js';
import { TABLES } from './writers.js';

/** What a client does beside listening. */
export interface Habits {
  /** Never leaves by itself. */
  readonly steady?: boolean;
  /** Comes back without its position, and refetches as a page does that was loaded anew. */
  readonly forgetful?: boolean;
  /** Stops reading now and then, for so many ms. */
  readonly pausesMs?: number;
  /** Stays away for so many ms each time it leaves. */
  readonly awayMs?: number;
}

/** A client over a real socket, on any of the servers, that notes all that it is told. */
export class SoakClient {
  readonly told: Told[] = [];
  since = Number.POSITIVE_INFINITY;
  connected = false;
  #lastEventId: string | undefined;
  #request: ClientRequest | undefined;
  #stopped = false;
  readonly #loop: Promise<void>;

  constructor(
    readonly name: string,
    private readonly servers: () => readonly string[],
    private readonly token: string,
    private readonly habits: Habits,
  ) {
    this.#loop = this.#listen();
  }

  account(): Account {
    return { name: this.name, since: this.since, told: this.told, steady: this.habits.steady === true };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#request?.destroy();
    await this.#loop;
  }

  async #listen(): Promise<void> {
    while (!this.#stopped) {
      const servers = this.servers();
      const url = servers[Math.floor(Math.random() * servers.length)];
      if (url) await this.#stream(url).catch(() => {});
      this.connected = false;
      await delay(this.habits.steady ? 50 : Math.random() * (this.habits.awayMs ?? 300));
    }
  }

  async #stream(url: string): Promise<void> {
    const id = this.habits.forgetful ? undefined : this.#lastEventId;
    const response = await this.#open(`${url}/api/events?resources=${TABLES.join(',')},zaun`, id);
    const parser = createStreamParser(({ event, data }) => {
      if (event === 'connected') this.#onConnected(data.resumed);
      else if (event === 'table-update') this.#note(data.resource, data.operation, data.keys, data.reason === 'resync');
    });
    response.on('data', (chunk: Buffer) => {
      parser.feed(chunk);
      this.#lastEventId = parser.lastEventId() ?? this.#lastEventId;
    });
    const ended = new Promise<void>((resolve) => {
      response.on('close', resolve);
      response.on('error', () => resolve());
    });
    if (!this.habits.steady) void this.#misbehave(response);
    await ended;
  }

  #open(url: string, lastEventId: string | undefined): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const headers = { Authorization: `Bearer ${this.token}`, ...(lastEventId && { 'Last-Event-ID': lastEventId }) };
      this.#request = get(url, { headers, agent: false }, (response) => {
        if (response.statusCode === 200) resolve(response);
        else reject(new Error(`${response.statusCode}`));
      });
      this.#request.on('error', reject);
    });
  }

  #onConnected(resumed: boolean): void {
    if (this.since === Number.POSITIVE_INFINITY) this.since = performance.now();
    // A page that starts anew reads everything.
    else if (!resumed && this.habits.forgetful)
      for (const table of TABLES) this.#note(table, undefined, undefined, false);
    this.connected = true;
  }

  async #misbehave(response: IncomingMessage): Promise<void> {
    const { pausesMs } = this.habits;
    if (pausesMs) {
      while (!response.destroyed) {
        response.pause();
        await delay(Math.random() * pausesMs);
        response.resume();
        await delay(Math.random() * pausesMs);
      }
      return;
    }
    await delay(Math.random() * 2000);
    response.destroy();
  }

  #note(resource: string, operation: string | undefined, keys: number[] | undefined, resync: boolean): void {
    this.told.push({ at: performance.now(), resource, ...(operation && { operation }), ...(keys && { keys }), resync });
  }
}
