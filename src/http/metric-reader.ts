import type { Metric, Registry } from 'prom-client';

/** One line of a metric. */
export interface Sample {
  readonly value: number;
  readonly labels?: Readonly<Record<string, string | number>>;
  /** Where it isn't the metric's own: `…_bucket`, `…_sum`, `…_count`. */
  readonly metricName?: string;
}

/** What a metric is. */
export interface MetricKind {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly name: string;
  readonly help: string;
}

/**
 * Puts a metric into a registry of prom-client that keeps no numbers of its own, like its Counter and Gauge do, but reads
 * them where they are counted, when somebody asks.
 * @param read no sample: the value is not known, which is no 0.
 */
export function registerReader(
  registry: Registry,
  { type, name, help }: MetricKind,
  read: () => readonly Sample[] | Promise<readonly Sample[]>,
): void {
  const metric = {
    type,
    name,
    help,
    aggregator: 'sum',
    get: async () => ({ type, name, help, aggregator: 'sum', values: await read() }),
  };
  registry.registerMetric(metric as unknown as Metric);
}
