import pg from 'pg';
import { pino } from 'pino';
import type { LoggedChange } from '../../../src/change.js';
import { ChangeFeed } from '../../../src/feed/change-feed.js';
import { CHANNEL } from '../../../src/feed/notify/listener.js';
import { NotificationFilter } from '../../notification-filter.js';
import { TcpProxy, targetOf } from '../../tcp-proxy.js';
import { until } from '../../until.js';
import { StatementGate } from '../statement-gate.js';

/** One server, and what it has told. */
export interface Told {
  readonly feed: ChangeFeed;
  readonly told: LoggedChange[];
}

/** Two servers on one database: the one leads, and the other's connections can be meddled with. */
export class TwoServers implements AsyncDisposable {
  /** The payloads that anybody receives who listens. */
  readonly payloads: { readonly payload: string; readonly pid: number }[] = [];
  readonly #closing: (() => Promise<unknown>)[] = [];

  private constructor(
    readonly url: string,
    readonly psql: pg.Client,
    /** On the way of the other server's statements. */
    readonly gate: StatementGate,
    /** On the way of the other server's notifications. */
    readonly filter: NotificationFilter,
    readonly leader: Told,
    readonly other: Told,
  ) {}

  /**
   * Starts both, the leader first.
   * @param url of a database with the feed.
   * @param readIntervalMs 0: what arrives came with a notification or a message, or was read by an active leader.
   */
  static async start(url: string, readIntervalMs = 0): Promise<TwoServers> {
    const psql = new pg.Client({ connectionString: url });
    psql.on('error', () => {}); // dropping the database ends it
    await psql.connect();
    const gate = await StatementGate.open(url);
    const filter = new NotificationFilter();
    const way = await TcpProxy.open(() => targetOf(gate.url), filter.newFilter);
    const leader = await startServer(psql, url, readIntervalMs);
    await until(() => leader.feed.leader.idle, 'the leader to be idle');
    const other = await startServer(psql, way.through(url), readIntervalMs);
    const both = new TwoServers(url, psql, gate, filter, leader, other);
    // The gate is closed first: a session that is held would keep the feed from stopping.
    both.#closing.push(
      () => way.close(),
      () => gate.close(),
      () => other.feed.stop(),
      () => leader.feed.stop(),
      () => psql.end(),
    );
    psql.on('notification', ({ payload = '', processId }) => both.payloads.push({ payload, pid: processId }));
    await psql.query(`listen ${CHANNEL}`);
    await both.untilMessagesAreRead();
    return both;
  }

  /** Writes until the other server is told by a message: it has the key then, and knows where the leader's messages stand. */
  async untilMessagesAreRead(): Promise<void> {
    const { messages } = this.other.feed.counts;
    for (let before = messages.told; messages.told === before; ) {
      await this.emit(`vorher ${Math.random()}`);
      await until(() => this.#isAsFar(), 'the other server to be as far as the leader');
    }
    await until(() => this.leader.feed.leader.idle, 'the leader to be idle');
    for (const { told } of [this.leader, this.other]) told.length = 0;
    this.payloads.length = 0;
  }

  /** Writes until the other server is told by a brief message. */
  async untilMessagesAreBrief(): Promise<void> {
    const { messages } = this.other.feed.counts;
    for (let before = messages.brief; messages.brief === before; ) {
      await this.emit(`vorher ${Math.random()}`);
      await until(() => this.#isAsFar(), 'the other server to be as far as the leader');
    }
    this.payloads.length = 0;
  }

  emit = (resource: string, data?: unknown) =>
    this.psql.query('select change_feed.emit($1, $2)', [resource, data === undefined ? null : JSON.stringify(data)]);

  untilBothAreTold = (resource: string) =>
    until(
      () => [this.leader, this.other].every(({ told }) => told.some((change) => change.resource === resource)),
      `${resource} at both`,
    );

  /** The messages of the leader that were sent. */
  sealed = () => this.payloads.filter(({ payload }) => /^[A-Za-z0-9+/]{60,}=*$/.test(payload));

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closing) await close();
  }

  #isAsFar(): boolean {
    const last = this.leader.told.at(-1)?.resource;
    return last !== undefined && this.other.told.at(-1)?.resource === last;
  }
}

async function startServer(psql: pg.Client, url: string, readIntervalMs: number): Promise<Told> {
  const feed = new ChangeFeed({
    listenDatabaseUrl: url,
    notify: (channel, payload) => psql.query('select pg_notify($1, $2)', [channel, payload]),
    readIntervalMs,
    logger: pino({ level: 'silent' }),
  });
  await feed.start();
  const told: Told['told'] = [];
  feed.listen({ onChanges: (changes) => told.push(...changes), onLost: () => told.push({ resource: 'lost' }) });
  return { feed, told };
}
