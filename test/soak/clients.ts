import { type ClientRequest, get, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { createStreamParser } from '../event-stream.js';
import type { Account, Told } from './ledger.js';
import { TABLES } from './writers.js';

/** Between two heartbeats of the servers, in s, and the silence after which a client takes its stream for dead, in ms. */
export const HEARTBEAT_S = 2;
export const SILENCE_MS = 5000;

/** What a client does beside listening. */
export interface Habits {
  /** Never leaves by itself, and stays with the n-th server where it can. */
  readonly steadyAt?: number;
  /** Subscribes to `*`. */
  readonly toAll?: boolean;
  /** Receives the rows of this tenant alone, by scopes. */
  readonly tenant?: number;
  /** Comes back without its position, and refetches as a page does that was loaded anew. */
  readonly forgetful?: boolean;
  /** Leaves also while it has no position to come back with. */
  readonly impatient?: boolean;
  /** Stops reading now and then, for so many ms. */
  readonly pausesMs?: number;
  /** Stays away for so many ms each time it leaves. */
  readonly awayMs?: number;
}

/** The tables, or the part of them that a tenant has, and the fence at the end. */
export function topicsOf(tenant: number | undefined): string[] {
  return [...TABLES.map((table) => (tenant === undefined ? table : `${table}?mandant=${tenant}`)), 'zaun'];
}

/** A client over a real socket, on any of the servers, that notes all that it is told. */
export class SoakClient {
  told: Told[] = [];
  since = Number.POSITIVE_INFINITY;
  /** The server that it is connected to. */
  server: string | undefined;
  #exempt = false;
  #idle = false;
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

  /** Forgets what it was told: from now on everything counts. */
  begin(): void {
    this.told = [];
    this.since = performance.now();
    this.#exempt = false;
  }

  account(): Account {
    const steady = this.habits.steadyAt !== undefined && !this.#exempt;
    const { tenant } = this.habits;
    return { name: this.name, since: this.since, told: this.told, steady, ...(tenant !== undefined && { tenant }) };
  }

  /** Its server hangs: how long changes take to it does not count, for now. */
  exempt(): void {
    this.#exempt = true;
  }

  /** Leaves, with its position, until {@link SoakClient.wakeUp}. */
  becomeIdle(): void {
    this.#idle = true;
    this.#request?.destroy();
  }

  wakeUp(): void {
    this.#idle = false;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#request?.destroy();
    await this.#loop;
  }

  async #listen(): Promise<void> {
    const { steadyAt, awayMs = 300 } = this.habits;
    let failed: string | undefined;
    while (!this.#stopped) {
      // Who finds its server dead goes to another.
      const servers = this.servers().filter((url) => url !== failed);
      const url = servers[(steadyAt ?? Math.floor(Math.random() * servers.length)) % servers.length];
      failed = undefined;
      if (url && !this.#idle) {
        await this.#stream(url).catch(() => {
          failed = url;
        });
      }
      this.server = undefined;
      await delay(steadyAt === undefined ? Math.random() * awayMs : 50);
    }
  }

  async #stream(url: string): Promise<void> {
    const id = this.habits.forgetful ? undefined : this.#lastEventId;
    const topics = this.habits.toAll ? ['*'] : topicsOf(this.habits.tenant);
    const query = topics.map((topic) => `resources=${encodeURIComponent(topic)}`).join('&');
    const response = await this.#open(`${url}/api/events?${query}`, id);
    this.server = url;
    const parser = createStreamParser(({ event, data }) => {
      if (event === 'connected') this.#onConnected(data.resumed);
      else if (event === 'table-update') this.#note(data.resource, data.operation, data.keys, data.reason === 'resync');
    });
    let silent = false;
    const dead = setTimeout(() => {
      silent = true;
      response.destroy();
    }, SILENCE_MS);
    response.on('data', (chunk: Buffer) => {
      dead.refresh();
      parser.feed(chunk);
      this.#lastEventId = parser.lastEventId() ?? this.#lastEventId;
    });
    const ended = new Promise<void>((resolve) => {
      response.on('close', resolve);
      response.on('error', () => resolve());
    });
    if (this.habits.steadyAt === undefined) void this.#misbehave(response);
    await ended;
    clearTimeout(dead);
    if (silent) throw new Error('The server says nothing any more');
  }

  #open(url: string, lastEventId: string | undefined): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const headers = { Authorization: `Bearer ${this.token}`, ...(lastEventId && { 'Last-Event-ID': lastEventId }) };
      this.#request = get(url, { headers, agent: false }, (response) => {
        this.#request?.setTimeout(0);
        if (response.statusCode === 200) resolve(response);
        else reject(new Error(`${response.statusCode}`));
      });
      this.#request.setTimeout(SILENCE_MS, () => this.#request?.destroy());
      this.#request.on('error', reject);
    });
  }

  #onConnected(resumed: boolean): void {
    if (this.since === Number.POSITIVE_INFINITY) this.since = performance.now();
    // A page that starts anew reads everything.
    else if (!resumed && this.habits.forgetful)
      for (const table of TABLES) this.#note(table, undefined, undefined, false);
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
    // Who was told to refetch keeps no position for 10 s, and one that left before would be told so again and again.
    do await delay(Math.random() * 2000);
    while (!this.habits.impatient && this.#lastEventId === 'resync' && !response.destroyed);
    response.destroy();
  }

  #note(resource: string, operation: string | undefined, keys: number[] | undefined, resync: boolean): void {
    this.told.push({ at: performance.now(), resource, ...(operation && { operation }), ...(keys && { keys }), resync });
  }
}
