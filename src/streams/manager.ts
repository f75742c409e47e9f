import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { LoggedChange } from '../change.js';
import type { ChangeFeed } from '../feed/change-feed.js';
import { writePosition } from '../feed/log/epochs.js';
import type { Position } from '../feed/log/position.js';
import type { Logger } from '../logger.js';
import { Client, type SharedByClients } from './client.js';
import { tableUpdate } from './event-format.js';
import { Expiry } from './expiry.js';
import { mergeChanges } from './merge.js';
import { RefetchSpread, SPREAD_FROM } from './refetch-spread.js';
import { earlier, type Start } from './replay.js';
import { Replays } from './replays.js';
import { type EndReason, endedByOther, StreamCounts } from './stream-counts.js';
import { openStreamSocket } from './stream-socket.js';
import { EVERY_RESOURCE } from './subscription.js';
import { SubscriptionIndex } from './subscription-index.js';

/** At the stop a thousand clients a second come back, over three seconds at the most. */
const END_MS_PER_CLIENT = 1;
const MAX_END_MS = 3000;
const END_STEP_MS = 20;

/** What the manager needs. */
export interface SSEManagerOptions {
  readonly feed: ChangeFeed;
  readonly logger: Logger;
  /** Between two heartbeats of a stream, in ms. Default 30,000. */
  readonly heartbeatMs?: number;
  /** How long a stream keeps the position with which it arrived, in ms. Default 10,000. */
  readonly holdMs?: number;
  /** A client that does not read for this long is cut off, in ms. Default 60,000. */
  readonly stallMs?: number;
}

/** A stream to be opened. */
export interface StreamRequest {
  readonly response: ServerResponse;
  /** Whose it is: the token's `sub`. */
  readonly subject: string;
  readonly authorize: (resource: string) => boolean;
  /** Subscribed from the start: names, or `*`. */
  readonly resources: readonly string[];
  /** Where the client was: `lost` where it sent something that is no position, absent where it sent nothing. */
  readonly since?: Start;
  /** When the stream ends, in ms since 1970: the end of its token. */
  readonly expiresAt?: number;
  /** Whether ids stay for a while at `since`, for a client that subscribes by POST. Default true. */
  readonly hold?: boolean;
  /** Called when the stream has ended. */
  readonly onClose?: () => void;
}

/** Why a call for a client was refused. */
export class UnknownClientError extends Error {
  override readonly name = 'UnknownClientError';
}

/** All streams of this server: who is subscribed to what. Encodes each change once, and hands it to each. */
export class SSEManager {
  readonly #feed: ChangeFeed;
  readonly #logger: Logger;
  readonly #replays: Replays;
  readonly #clients = new Map<string, Client>();
  readonly #subscriptions = new SubscriptionIndex();
  readonly #shared: SharedByClients;
  readonly #expiry = new Expiry();
  /** What has happened since the start, for metrics. */
  readonly counts = new StreamCounts();
  /** Those who are about to refetch. */
  readonly refetchSpread = new RefetchSpread();
  readonly #heartbeat: NodeJS.Timeout;
  readonly #stopListening: () => void;
  readonly #closing = new AbortController();

  constructor({ feed, logger, heartbeatMs = 30_000, holdMs = 10_000, stallMs = 60_000 }: SSEManagerOptions) {
    this.#feed = feed;
    this.#logger = logger;
    this.#replays = new Replays(feed, logger, this.counts, heartbeatMs);
    this.#shared = { livePosition: () => feed.position, liveId: cachedId(feed), holdMs, stallMs, counts: this.counts };
    this.#stopListening = feed.listen({
      onChanges: (changes) => this.#broadcast(changes),
      // From here on no client has the id of an epoch that an older data folder may know, too.
      onRestart: () => {
        for (const client of this.#clients.values()) client.beat();
      },
      onLost: () => {
        this.refetchSpread.forget();
        for (const client of this.#clients.values())
          void this.#replays.replay(client, 'lost', [...client.subscriptions.values()]);
      },
    });
    this.#heartbeat = setInterval(() => {
      for (const client of this.#clients.values()) client.beat();
    }, heartbeatMs);
  }

  /** Whether it takes no more streams. */
  get closed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Aborted when it takes no more streams: what waits for a change ends with it. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** The open streams. */
  clients(): Iterable<Client> {
    return this.#clients.values();
  }

  /** How many streams are open. */
  get clientCount(): number {
    return this.#clients.size;
  }

  /** How many streams are subscribed to each resource, for those that have any; `*` for all. */
  subscriptionCounts(): Iterable<readonly [resource: string, streams: number]> {
    return this.#subscriptions.counts();
  }

  /** Opens a stream on a response whose headers are set, and not sent: says `connected`, and replays what the client has missed. */
  open({ response, subject, authorize, resources, since, expiresAt, onClose, hold = true }: StreamRequest): Client {
    const socket = openStreamSocket(response);
    const client = new Client({
      id: `${this.#feed.instanceId}.${randomBytes(12).toString('base64url')}`,
      subject,
      socket,
      authorize,
      shared: this.#shared,
    });
    this.#clients.set(client.id, client);
    this.counts.opened += 1;
    socket.once('close', () => {
      this.#remove(client, client.endedBy ?? endedByOther(socket), expiresAt);
      onClose?.();
    });
    socket.on('error', (error) => this.#logger.debug({ err: error, client: client.id }, 'a stream broke'));
    if (expiresAt !== undefined) this.#expiry.add(client, expiresAt);
    this.#logger.info({ client: client.id, subject, resources, resuming: since !== undefined }, 'stream opened');

    const subscriptions = resources.map((resource) => this.#subscriptions.add(client, resource));
    if (since === undefined) this.#replays.greet(client, false);
    else void this.#replays.resume(client, since, subscriptions, hold);
    return client;
  }

  /**
   * Subscribes a client, from `since` or from where it arrived. Returns when what it missed has been sent.
   * @throws {UnknownClientError} when it isn't a client of this subject.
   */
  async subscribe(clientId: string, subject: string, resource: string, since?: Position): Promise<void> {
    const client = this.requireClient(clientId, subject);
    // What it was subscribed to before is not held to have been seen, where `since` is ahead of this server.
    const known = client.subscriptions.has(resource) || client.subscriptions.has(EVERY_RESOURCE);
    const start = since && known ? earlier(since, this.#feed.position) : (since ?? client.heldAt);
    const subscription = this.#subscriptions.add(client, resource);
    if (start !== undefined) await this.#replays.replay(client, start, [subscription]);
  }

  /**
   * Ends a subscription; one that isn't there is none.
   * @throws {UnknownClientError} when it isn't a client of this subject.
   */
  unsubscribe(clientId: string, subject: string, resource: string): void {
    this.#subscriptions.delete(this.requireClient(clientId, subject), resource);
  }

  /** The client of this id. @throws {UnknownClientError} when there is none, or it isn't this subject's. */
  requireClient(clientId: string, subject: string): Client {
    const client = this.#clients.get(clientId);
    if (!client || client.subject !== subject) throw new UnknownClientError(clientId);
    return client;
  }

  /**
   * Takes no more streams, and ends all. Their clients come back by themselves, elsewhere: those of a crowd one after
   * the other, over three seconds at the most, and until then they hear every change.
   */
  async close(): Promise<void> {
    this.#closing.abort();
    clearInterval(this.#heartbeat);
    const clients = [...this.#clients.values()];
    const overMs = clients.length > SPREAD_FROM ? Math.min(clients.length * END_MS_PER_CLIENT, MAX_END_MS) : 0;
    const begun = performance.now();
    for (let ended = 0; ended < clients.length; ) {
      const share = overMs === 0 ? 1 : (performance.now() - begun) / overMs;
      const due = Math.min(Math.ceil(clients.length * share), clients.length);
      for (; ended < due; ended += 1) clients[ended]?.end('the server stops');
      if (ended < clients.length) await delay(END_STEP_MS);
    }
    this.#stopListening();
  }

  #broadcast(changes: readonly LoggedChange[]): void {
    const receivers = new Set<Client>();
    for (const change of mergeChanges(changes)) {
      const audience = this.#subscriptions.audienceOf(change.resource);
      const spread = this.refetchSpread.begin(change.resource, audience);
      if (audience === 0) continue;
      const event = tableUpdate(change, spread);
      this.#subscriptions.forEachTo(change.resource, (client, subscription) => {
        client.take(subscription, change, event);
        receivers.add(client);
      });
    }
    for (const client of receivers) client.flush();
  }

  #remove(client: Client, reason: EndReason, expiresAt: number | undefined): void {
    this.#clients.delete(client.id);
    client.release();
    if (expiresAt !== undefined) this.#expiry.delete(client, expiresAt);
    this.#subscriptions.deleteAll(client);
    this.counts.closed[reason] += 1;
    const seconds = Math.round((performance.now() - client.openedAt) / 1000);
    this.#logger.info({ client: client.id, subject: client.subject, seconds, reason }, 'stream closed');
  }
}

/** The feed's position as an id, made once for all clients. */
function cachedId(feed: ChangeFeed): () => string {
  let position: Position | undefined;
  let id = '';
  return () => {
    if (position !== feed.position) {
      position = feed.position;
      id = writePosition(position);
    }
    return id;
  };
}
