import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { LogState } from '../feed/log/log-state.js';
import type { EndReason } from '../streams/stream-counts.js';
import type { FeedParts } from './feed-parts.js';
import { LatestLogState } from './latest-log-state.js';

/** The labels of the reasons why a stream ended. */
const REASONS: Readonly<Record<EndReason, string>> = {
  'the client left': 'left',
  'the connection broke': 'broke',
  'its token ended': 'expired',
  'its rights were withdrawn': 'revoked',
  'the server stops': 'stopped',
  'the client did not read': 'stalled',
  'what it missed could not be read': 'unreadable',
};

/** The label of all names that no table is watched as: clients may invent any. */
const OTHER = '(other)';

/** The largest number of watched resources that have a series of their own: each series costs Prometheus memory. */
const MAX_RESOURCES = 200;

/**
 * Makes a feed's metrics for Prometheus, with those of the process: `await changeFeedMetrics(feed).metrics()` is the text.
 * Each request for the text reads the feed's counts, and the state of the log with a query. The state is left out while
 * the database doesn't answer within a second.
 *
 * In an application with metrics of its own:
 * `Registry.merge([register, changeFeedMetrics(feed, { ofProcess: false })])`.
 * @param options `ofProcess`: also CPU, memory, and event-loop delay of the process. Default true.
 */
export function changeFeedMetrics(feed: FeedParts, { ofProcess = true } = {}): Registry {
  const registry = new Registry();
  if (ofProcess) collectDefaultMetrics({ register: registry });
  addStreams(registry, feed);
  addDeliveries(registry, feed);
  addNotifications(registry, feed);
  const log = new LatestLogState(feed.changes);
  addLog(registry, feed, log);
  return registry;
}

function addStreams(registry: Registry, { streams }: FeedParts): void {
  gauge(registry, 'clients', 'Open streams of this server', () => streams.clientCount);
  counter(registry, 'streams_opened_total', 'Streams that were opened', () => streams.counts.opened);
  counters(
    registry,
    'streams_closed_total',
    'Streams that have ended, by reason. left: by the client. broke: its connection was reset, or timed out. expired: its token. revoked: its rights. stopped: the server. stalled: it did not read, and was cut off. unreadable: what it missed could not be read',
    ['reason'],
    () =>
      Object.entries(streams.counts.closed).map(([why, value]) => ({
        value,
        labels: { reason: REASONS[why as EndReason] },
      })),
  );
}

function addDeliveries(registry: Registry, { changes, streams }: FeedParts): void {
  const { counts } = changes;
  counter(registry, 'changes_total', 'Changes read from the log: one for each statement', () => counts.changes);
  counter(
    registry,
    'deliveries_total',
    'table-update events handed to sockets: one for each client that receives it',
    () => streams.counts.deliveries,
  );
  counter(
    registry,
    'deliveries_summed_up_total',
    'Those deliveries that stand for several changes of a resource: too many in one read, or to a client that was behind',
    () => streams.counts.summedUp,
  );
  counters(
    registry,
    'resumes_total',
    'Replays of what one client had missed. memory, log: read from there, change by change. resync: the changes could not be replayed, and the client was told to refetch',
    ['kind'],
    () => [
      ...Object.entries(counts.replays).map(([kind, value]) => ({ value, labels: { kind } })),
      { value: streams.counts.resyncs, labels: { kind: 'resync' } },
    ],
  );
  counter(
    registry,
    'losses_total',
    'Times that the server told every client to refetch: after a crash or a failover of Postgres, or when it could not read for longer than the log reaches back',
    () => counts.losses,
  );
  registry.registerMetric(counts.lag);
}

function addNotifications(registry: Registry, { changes }: FeedParts): void {
  const { counts } = changes;
  gauge(
    registry,
    'listening',
    '1 while the connection that receives notifications is open',
    () => +changes.health.listener,
  );
  gauge(registry, 'log_readable', '1 while the last read of the log has succeeded', () => +changes.health.database);
  gauge(registry, 'leading', '1 on the one server that leads, and notifies the others', () => +changes.leader.leading);
  gauge(
    registry,
    'idle',
    '1 while this server leads and is idle: each commit notifies. 0 while it is active: writers need not notify',
    () => +changes.leader.idle,
  );
  gauge(
    registry,
    'polling',
    '1 where max_prepared_transactions is above 0: no writer notifies, no server leads, and each reads the log every 100 ms',
    () => +changes.polling,
  );
  counters(
    registry,
    'notifications_received_total',
    'Notifications received: from writers, from the leader where that is another server, and others, which mean nothing here',
    ['from'],
    () => Object.entries(counts.notifications).map(([from, value]) => ({ value, labels: { from } })),
  );
  counters(
    registry,
    'messages_received_total',
    'Messages of the leader, by what became of them. told: sent on without a query. known: all of it was read already. missed: one before was lost, brief: more had changed than a message holds, and so the log was read',
    ['outcome'],
    () => Object.entries(counts.messages).map(([outcome, value]) => ({ value, labels: { outcome } })),
  );
  counter(
    registry,
    'notifications_sent_total',
    'Notifications sent to the other servers, as the leader',
    () => changes.leader.notifications,
  );
}

function addLog(registry: Registry, { changes, streams }: FeedParts, log: LatestLogState): void {
  const ofLog = (name: string, help: string, value: (state: LogState) => number) =>
    gauges(registry, name, help, [], async () => {
      const state = await log.current();
      return state ? [{ value: value(state) }] : [];
    });
  ofLog(
    'notify_queue_usage_ratio',
    'How full the NOTIFY queue of the whole Postgres cluster is; from 0.5 on writers do not notify, at 1 each NOTIFY fails',
    ({ queueUsage }) => queueUsage,
  );
  ofLog('log_rows', 'How many changes are in the log, as noted each minute', ({ rows }) => rows);
  ofLog(
    'log_age_seconds',
    'How long ago the oldest change in the log was made; 0 when it is empty',
    ({ ageS }) => ageS,
  );
  const { retentionS, maxRows } = changes.limits;
  gauge(registry, 'log_retention_seconds', 'How long changes stay in the log, as set', () => retentionS);
  gauge(registry, 'log_max_rows', 'How many changes stay in the log at the most, as set', () => maxRows);

  const help = `Subscriptions of open streams, by resource: * for all, ${OTHER} for names that no table is watched as`;
  gauges(registry, 'subscriptions', help, ['resource'], async () => {
    await log.current();
    const named = new Set(['*', ...log.watched.slice(0, MAX_RESOURCES)]);
    const counts = new Map<string, number>();
    for (const [resource, count] of streams.subscriptionCounts()) {
      const name = named.has(resource) ? resource : OTHER;
      counts.set(name, (counts.get(name) ?? 0) + count);
    }
    return Array.from(counts, ([resource, value]) => ({ value, labels: { resource } }));
  });
}

/** One line of a metric. */
interface Sample {
  readonly value: number;
  readonly labels?: Readonly<Record<string, string>>;
}

function gauge(registry: Registry, name: string, help: string, read: () => number): void {
  gauges(registry, name, help, [], async () => [{ value: read() }]);
}

/** @param read returns no sample where the value is not known, which is not 0. */
function gauges(
  registry: Registry,
  name: string,
  help: string,
  labelNames: string[],
  read: () => Promise<Sample[]>,
): void {
  new Gauge({
    name: `pg_change_feed_${name}`,
    help,
    labelNames,
    registers: [registry],
    async collect() {
      const samples = await read();
      this.reset();
      // Without labels prom-client begins with 0
      if (labelNames.length === 0) this.remove();
      for (const { value, labels = {} } of samples) this.set(labels, value);
    },
  });
}

function counter(registry: Registry, name: string, help: string, read: () => number): void {
  counters(registry, name, help, [], () => [{ value: read() }]);
}

/** @param read returns what is counted elsewhere, and only grows. */
function counters(registry: Registry, name: string, help: string, labelNames: string[], read: () => Sample[]): void {
  new Counter({
    name: `pg_change_feed_${name}`,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      for (const { value, labels = {} } of read()) this.inc(labels, value);
    },
  });
}
