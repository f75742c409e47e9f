import type { Metric, Registry } from 'prom-client';

/** One line of a metric. */
export interface Sample {
  readonly value: number;
  readonly labels?: Readonly<Record<string, string | number>>;
  /** The sample's name where it isn't the metric's own: `…_bucket`, `…_sum`, `…_count`. */
  readonly metricName?: string;
}

/** The type, name and help of a metric. */
export interface MetricKind {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly name: string;
  readonly help: string;
}

/**
 * Registers a metric with prom-client that keeps no numbers of its own, as its Counter and Gauge do. It reads them where
 * they are counted, at each request.
 * @param read returns no sample where the value is not known, which is not 0.
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
