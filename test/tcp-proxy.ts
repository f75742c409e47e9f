import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** Where a proxy leads. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

/** A connection through a proxy: both its sockets. */
interface Pair {
  readonly near: Socket;
  readonly far: Socket | undefined;
  /** The stream that all answers go through. */
  readonly filter: Duplex | undefined;
}

/**
 * A TCP proxy that can fail as a network does: connections that are cut without a FIN, so that neither side hears of it,
 * and a way that leads elsewhere after a failover.
 */
export class TcpProxy {
  readonly #server: Server;
  readonly #target: () => Target;
  readonly #newFilter: (() => Duplex) | undefined;
  /** Those that work, and those that are dead while both sides believe in them. */
  readonly #alive = new Set<Pair>();
  readonly #dead = new Set<Pair>();
  #silent = false;

  private constructor(target: () => Target, newFilter?: () => Duplex) {
    this.#target = target;
    this.#newFilter = newFilter;
    this.#server = createServer((near) => this.#accept(near));
  }

  /**
   * Listens on a free port of 127.0.0.1.
   * @param target asked for each connection.
   * @param newFilter makes what the answers of one connection go through.
   */
  static async open(target: () => Target, newFilter?: () => Duplex): Promise<TcpProxy> {
    const proxy = new TcpProxy(target, newFilter);
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
      for (const each of [pair.near, pair.far, pair.filter]) {
        each?.unpipe();
        each?.resume(); // what still comes is lost
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
      this.#dead.add({ near, far: undefined, filter: undefined });
      return;
    }
    const far = connect({ ...this.#target(), noDelay: true });
    near.setNoDelay(true);
    far.on('error', () => {});
    const filter = this.#newFilter?.();
    const pair = { near, far, filter };
    this.#alive.add(pair);
    near.pipe(far);
    if (filter) far.pipe(filter).pipe(near);
    else far.pipe(near);
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
