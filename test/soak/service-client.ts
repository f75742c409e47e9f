import { join } from 'node:path';
import type { Change } from '../../src/change.js';
import { packageRoot } from '../../src/package-root.js';
import { SILENCE_MS, topicsOf } from './clients.js';
import type { Account, Told } from './ledger.js';

/** What is used here of the browser's service; its own types need those of the DOM. */
interface Service {
  on(resource: string, listener: (change: Change) => void): () => void;
  disconnect(): void;
}

/** The client that browsers run, built, on any of the servers: it notes what its listeners hear. */
export class ServiceClient {
  told: Told[] = [];
  since = Number.POSITIVE_INFINITY;
  #service: Service | undefined;

  constructor(
    readonly name: string,
    private readonly servers: () => readonly string[],
    private readonly token: string,
    private readonly tenant?: number,
  ) {}

  async start(): Promise<void> {
    const { SSEService } = await import(join(packageRoot, 'dist/src/client/index.js'));
    const service: Service = new SSEService({
      url: 'http://any/api/events',
      getToken: () => this.token,
      // As a load balancer without stickiness: a POST may meet another server than the stream.
      fetch: (url: string, init: RequestInit) => fetch(url.replace('http://any', this.#anyServer()), init),
      silenceMs: SILENCE_MS,
      retryBaseMs: 100,
      restMs: 1000,
      logger: { debug: () => {}, warn: () => {} },
    });
    this.#service = service;
    for (const topic of topicsOf(this.tenant)) {
      service.on(topic, ({ resource, operation, keys, reason }) => {
        const at = performance.now();
        if (this.since === Number.POSITIVE_INFINITY) this.since = at;
        const named = { ...(operation && { operation }), ...(keys && { keys: keys as number[] }) };
        this.told.push({ at, resource, ...named, resync: reason === 'resync' });
      });
    }
  }

  /** Forgets what it was told: from now on everything counts. */
  begin(): void {
    this.told = [];
    this.since = performance.now();
  }

  /** It comes back when the server has advised: how long changes take meanwhile is no delay of the feed. */
  account(): Account {
    const { name, since, told, tenant } = this;
    return { name, since, told, steady: false, ...(tenant !== undefined && { tenant }) };
  }

  stop(): void {
    this.#service?.disconnect();
  }

  #anyServer(): string {
    const servers = this.servers();
    return servers[Math.floor(Math.random() * servers.length)] ?? 'http://127.0.0.1:1';
  }
}
