import { randomUUID } from 'node:crypto';
import type { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { LoggedChange } from '../change.js';
import type { ChangeFeed } from '../feed/change-feed.js';
import { writePosition } from '../feed/log/epochs.js';
import type { Position } from '../feed/log/position.js';
import type { Measured } from '../feed/log/reading.js';
import type { Logger } from '../logger.js';
import { parseTopic } from '../scope.js';
import { Client, type SharedByClients } from './client.js';
import { EndedScopes } from './ended-scopes.js';
import { endedEvent, revokedEvent } from './event-format.js';
import { Expiry } from './expiry.js';
import { RefetchSpread, SPREAD_FROM } from './refetch-spread.js';
import { earlier, type Start } from './replay.js';
import { Replays } from './replays.js';
import { RevokedSubjects } from './revoked-subjects.js';
import type { Rights } from './rights.js';
import { resourcesOf } from './scoped-topic.js';
import { sendToSubscribers } from './send-to-subscribers.js';
import { Broadcast, SentChanges } from './sent-changes.js';
import { type EndReason, endedByOther, StreamCounts } from './stream-counts.js';
import { EVERY_RESOURCE } from './subscription.js';
import { SubscriptionIndex } from './subscription-index.js';

/** The pace at which streams end at the stop: a thousand a second, over three seconds at the most, in ms. */
const END_MS_PER_CLIENT = 1;
const MAX_END_MS = 3000;
const END_STEP_MS = 20;

/** Options of an {@link SSEManager}. */
export interface SSEManagerOptions {
  readonly feed: ChangeFeed;
  readonly logger: Logger;
  /** The time between two heartbeats of a stream, in ms. Default 30,000. */
  readonly heartbeatMs?: number;
  /** The time for which a stream keeps the position with which it arrived, in ms. Default 10,000. */
  readonly holdMs?: number;
  /** The time after which a client that does not read is disconnected, in ms. Default 60,000. */
  readonly stallMs?: number;
}

/** A stream to open. */
export interface StreamRequest {
  /** The writable that takes the stream's bytes, with the headers sent. */
  readonly socket: Writable;
  /** The `sub` of the token that opens it. */
  readonly subject: string;
  /** The topics that it may receive. */
  readonly rights: Rights;
  /** The subscriptions from the start: resources, scopes, or `*`. */
  readonly topics: readonly string[];
  /** The client's position: `lost` where it sent something that is no position, absent where it sent nothing. */
  readonly since?: Start;
  /** The end of its token, in ms since 1970: the stream ends then. Absent: never. */
  readonly expiresAt?: number | undefined;
  /** Keeps ids at `since` for a while, for a client that subscribes by POST. Default true. */
  readonly hold?: boolean;
  /** Called when the stream has ended. */
  readonly onClose?: () => void;
}

/** Refuses a call for a client that is not there, or is another subject's. */
export class UnknownClientError extends Error {
  override readonly name = 'UnknownClientError';
}

/** Holds all streams of this server. It encodes each change once, and passes it to the subscribed streams. */
export class SSEManager {
  readonly #feed: ChangeFeed;
  readonly #logger: Logger;
  readonly #replays: Replays;
  readonly #clients = new Map<string, Client>();
  readonly #subscriptions = new SubscriptionIndex((followed) => this.#tellScopes(followed));
  readonly #endedScopes: EndedScopes;
  readonly #shared: SharedByClients;
  readonly #expiry = new Expiry();
  /** Counts since the start, for metrics. */
  readonly counts = new StreamCounts();
  /** The subjects that have lost their rights of late. */
  readonly revoked = new RevokedSubjects();
  /** To how many streams the last changes were sent. */
  readonly sent = new SentChanges();
  /** The clients that are about to refetch. */
  readonly refetchSpread = new RefetchSpread();
  #endScopes: (() => void) | undefined;
  readonly #heartbeat: NodeJS.Timeout;
  readonly #stopListening: () => void;
  readonly #closing = new AbortController();

  constructor({ feed, logger, heartbeatMs = 30_000, holdMs = 10_000, stallMs = 60_000 }: SSEManagerOptions) {
    this.#feed = feed;
    this.#logger = logger;
    this.#replays = new Replays(feed, logger, this.counts, heartbeatMs);
    this.#endedScopes = new EndedScopes(feed, this.#subscriptions, logger);
    this.#shared = { livePosition: () => feed.position, liveId: cachedId(feed), holdMs, stallMs, counts: this.counts };
    this.#stopListening = feed.listen({
      onChanges: (changes, position, measured) => this.#broadcast(changes, position, measured),
      // From here on no client has the id of an epoch that an older data folder may know, too.
      onRestart: () => {
        for (const client of this.#clients.values()) client.beat();
      },
      onLost: (position) => {
        this.sent.forget(position);
        this.refetchSpread.forget();
        for (const client of this.#clients.values())
          void this.#replays.replay(client, 'lost', [...client.subscriptions.values()]);
      },
    });
    this.#heartbeat = setInterval(() => {
      for (const client of this.#clients.values()) client.beat();
    }, heartbeatMs);
  }

  /** True once it takes no more streams. */
  get closed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** A signal that is aborted when it takes no more streams: requests that wait for a change end with it. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** The open streams. */
  clients(): Iterable<Client> {
    return this.#clients.values();
  }

  /** The number of open streams. */
  get clientCount(): number {
    return this.#clients.size;
  }

  /** The number of subscriptions to each resource and its scopes, if there are any; `*` for those to all. */
  subscriptionCounts(): ReadonlyMap<string, number> {
    return this.#subscriptions.counts();
  }

  /**
   * Opens a stream. It begins with `connected`, and then replays what the client has missed.
   */
  open({ socket, subject, rights, topics, since, expiresAt, onClose, hold = true }: StreamRequest): Client {
    const client = new Client({
      id: `${this.#feed.instanceId}.${randomUUID()}`,
      subject,
      socket,
      rights,
      shared: this.#shared,
    });
    this.#clients.set(client.id, client);
    this.counts.opened += 1;
    socket.once('close', () => {
      this.#remove(client, client.endedBy ?? endedByOther(socket));
      onClose?.();
    });
    socket.on('error', (error) => this.#logger.debug({ err: error, client: client.id }, 'a stream broke'));
    this.#expire(client, expiresAt);
    // The values of scopes may be personal data.
    const resources = resourcesOf(topics);
    this.#logger.info({ client: client.id, subject, resources, resuming: since !== undefined }, 'stream opened');

    const subscriptions = topics.map((topic) => this.#subscriptions.add(client, topic));
    if (since === undefined) this.#replays.greet(client, false);
    else void this.#replays.resume(client, since, subscriptions, hold);
    return client;
  }

  /**
   * Subscribes a client, from `since` or from where it arrived. Resolves when what it missed has been sent.
   * @throws {UnknownClientError} when it isn't a client of this subject.
   */
  async subscribe(clientId: string, subject: string, topic: string, since?: Position): Promise<void> {
    const client = this.requireClient(clientId, subject);
    // `since` may be ahead of this server, or of live changes that wait for a replay: an earlier subscription has not
    // received all of them.
    const known = client.subscriptions.has(topic) || client.subscriptions.has(EVERY_RESOURCE);
    const start = since && known ? earlier(since, this.#replays.sentTo(client)) : (since ?? client.heldAt);
    const subscription = this.#subscriptions.add(client, topic);
    if (start !== undefined) await this.#replays.replay(client, start, [subscription]);
  }

  /**
   * Ends a subscription, or does nothing where there is none.
   * @throws {UnknownClientError} when it isn't a client of this subject.
   */
  unsubscribe(clientId: string, subject: string, topic: string): void {
    this.#subscriptions.delete(this.requireClient(clientId, subject), topic);
  }

  /** Ends all streams of a subject, and its polls, because its rights were withdrawn. */
  endStreams(subject: string): void {
    this.revoked.add(subject);
    for (const client of this.#clients.values()) if (client.subject === subject) this.revoke(client);
  }

  /** Ends a stream, because the rights of its subject were withdrawn. */
  revoke(client: Client): void {
    client.end('its rights were withdrawn', revokedEvent());
  }

  /** Gives a stream other rights and another end. Subscriptions that they do not allow end, each with `event: ended`. */
  reauthorize(client: Client, { rights, expiresAt }: Pick<StreamRequest, 'rights' | 'expiresAt'>): void {
    if (client.closed) return;
    this.#subscriptions.replaceRights(client, rights);
    this.#expire(client, expiresAt);
    for (const topic of [...client.subscriptions.keys()]) {
      const { resource, scope } = parseTopic(topic);
      if (topic === EVERY_RESOURCE || client.authorize(resource, scope)) continue;
      this.#subscriptions.delete(client, topic);
      client.write(endedEvent({ resource, ...(scope && { scope }) }, 'forbidden'));
    }
  }

  /** Finds the client of this id. @throws {UnknownClientError} when there is none, or it isn't this subject's. */
  requireClient(clientId: string, subject: string): Client {
    const client = this.#clients.get(clientId);
    if (!client || client.subject !== subject) throw new UnknownClientError(clientId);
    return client;
  }

  /**
   * Takes no more streams, and ends all. Their clients reconnect by themselves, to another server. Many streams end one
   * after the other, over three seconds at the most, and receive every change until then.
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

  #broadcast(changes: readonly LoggedChange[], position: Position, measured?: Measured): void {
    const counted = new Broadcast();
    const receivers = sendToSubscribers(changes, this.#subscriptions, this.refetchSpread, counted);
    for (const client of receivers) client.flush();
    counted.end(changes, measured ? this.#feed.counts.lagsMs(measured) : []);
    this.sent.add(position, counted);
    this.#endedScopes.check(changes);
  }

  /** Has batches that are summed up tell scopes apart as long as somebody is subscribed to one. */
  #tellScopes(followed: boolean): void {
    this.#endScopes?.();
    this.#endScopes = followed ? this.#feed.scopes.tell() : undefined;
  }

  /** Ends a client's stream at a time, in ms since 1970, or never. */
  #expire(client: Client, expiresAt: number | undefined): void {
    if (client.expiresAt !== undefined) this.#expiry.delete(client, client.expiresAt);
    client.expiresAt = expiresAt;
    if (expiresAt !== undefined) this.#expiry.add(client, expiresAt);
  }

  #remove(client: Client, reason: EndReason): void {
    this.#clients.delete(client.id);
    client.release();
    if (client.expiresAt !== undefined) this.#expiry.delete(client, client.expiresAt);
    this.#subscriptions.deleteAll(client);
    this.counts.closed[reason] += 1;
    const seconds = Math.round((performance.now() - client.openedAt) / 1000);
    this.#logger.info({ client: client.id, subject: client.subject, seconds, reason }, 'stream closed');
  }
}

/** Makes the feed's position into an id, once for all clients. */
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
