import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Where a proxy leads. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

/** A connection through a proxy: both its sockets. */
interface Pair {
  readonly near: Socket;
  readonly far: Socket | undefined;
}

/**
 * A TCP proxy that can fail as a network does: connections that are cut without a FIN, so that neither side hears of it,
 * and a way that leads elsewhere after a failover.
 */
export class TcpProxy {
  readonly #server: Server;
  readonly #target: () => Target;
  /** Those that work, and those that are dead while both sides believe in them. */
  readonly #alive = new Set<Pair>();
  readonly #dead = new Set<Pair>();
  #silent = false;

  private constructor(target: () => Target) {
    this.#target = target;
    this.#server = createServer((near) => this.#accept(near));
  }

  /** Listens on a free port of 127.0.0.1. @param target asked for each connection. */
  static async open(target: () => Target): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** An address that leads through it. */
  through(url: string): string {
    const changed = new URL(url);
    changed.host = `127.0.0.1:${this.port}`;
    return changed.href;
  }

  /**
   * Cuts all connections without a FIN: from now on nothing passes on them, and nothing says so.
   * New ones work, unless `allNew`: then they are accepted and lead nowhere, until {@link TcpProxy.speak}.
   */
  goSilent({ allNew = false } = {}): void {
    this.#silent = allNew;
    for (const pair of this.#alive) {
      const { near, far } = pair;
      for (const [from, to] of [
        [near, far],
        [far, near],
      ]) {
        if (from && to) from.unpipe(to);
        from?.resume(); // what still comes is lost
      }
      this.#dead.add(pair);
    }
    this.#alive.clear();
  }

  /** Lets new connections through again. Those that were cut stay dead. */
  speak(): void {
    this.#silent = false;
  }

  /** Ends what {@link TcpProxy.goSilent} has left half open. */
  bury(): void {
    for (const { near, far } of this.#dead) {
      near.destroy();
      far?.destroy();
    }
    this.#dead.clear();
  }

  /** Cuts all connections so that both sides hear of it. */
  cut(): void {
    for (const { near } of this.#alive) near.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    this.bury();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(near: Socket): void {
    near.on('error', () => {});
    if (this.#silent) {
      near.resume();
      this.#dead.add({ near, far: undefined });
      return;
    }
    const far = connect({ ...this.#target(), noDelay: true });
    near.setNoDelay(true);
    far.on('error', () => {});
    const pair = { near, far };
    this.#alive.add(pair);
    near.pipe(far);
    far.pipe(near);
    const end = (other: Socket) => () => {
      if (this.#alive.has(pair)) other.destroy();
      if (near.destroyed && far.destroyed) this.#alive.delete(pair);
    };
    near.on('close', end(far));
    far.on('close', end(near));
  }
}

/** Where an address leads. */
export function targetOf(url: string): Target {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}
