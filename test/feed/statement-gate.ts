import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { targetOf } from '../tcp-proxy.js';

/** Where a session is stopped: at a statement of it, before Postgres gets it, or before its answer comes back. */
export interface Step {
  /** The session's application_name. */
  readonly application: string;
  readonly statement: RegExp;
  readonly place: 'before' | 'after';
}

/** A session that stands still. */
export interface HeldSession {
  /** Lets it go on as if nothing had been. */
  release(): void;
  /** Cuts it, so that both sides hear of it. */
  kill(): void;
}

/**
 * A proxy before Postgres that knows its protocol just well enough to stop a session at a certain statement
 * (https://www.postgresql.org/docs/current/protocol-message-formats.html). A session that is never released is one whose
 * host has hung: neither side hears anything.
 */
export class StatementGate {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #armed: { readonly step: Step; readonly onHeld: (session: HeldSession) => void } | undefined;

  private constructor(private readonly databaseUrl: string) {
    this.#server = createServer((near) => this.#accept(near));
  }

  static async open(databaseUrl: string): Promise<StatementGate> {
    const gate = new StatementGate(databaseUrl);
    gate.#server.listen(0, '127.0.0.1');
    await once(gate.#server, 'listening');
    return gate;
  }

  /** The database's address through the gate. */
  get url(): string {
    const url = new URL(this.databaseUrl);
    url.host = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return url.href;
  }

  /** Stops the next session that comes to this step, once. */
  hold(step: Step): Promise<HeldSession> {
    return new Promise((resolve) => {
      this.#armed = { step, onHeld: resolve };
    });
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(near: Socket): void {
    const far = connect({ ...targetOf(this.databaseUrl), noDelay: true });
    near.setNoDelay(true);
    const requests = new Messages();
    // What is kept back while the session is held; undefined while it flows.
    let toFar: Buffer[] | undefined;
    let toNear: Buffer[] | undefined;

    const held = (place: Step['place']): HeldSession => {
      if (place === 'before') toFar = [];
      else toNear = [];
      return {
        release: () => {
          for (const chunk of toFar ?? []) far.write(chunk);
          for (const chunk of toNear ?? []) near.write(chunk);
          toFar = undefined;
          toNear = undefined;
        },
        kill: () => {
          near.destroy();
          far.destroy();
        },
      };
    };
    near.on('data', (chunk: Buffer) => {
      for (const { bytes, statement } of requests.take(chunk)) {
        const step = this.#armed?.step;
        if (step && !toFar && !toNear && requests.application === step.application && step.statement.test(statement)) {
          const { onHeld } = this.#armed as { onHeld: (session: HeldSession) => void };
          this.#armed = undefined;
          onHeld(held(step.place));
        }
        if (toFar) toFar.push(bytes);
        else far.write(bytes);
      }
    });
    far.on('data', (chunk: Buffer) => {
      if (toNear) toNear.push(chunk);
      else near.write(chunk);
    });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        // Of a session that is held nobody hears anything, not even its end.
        if (!toFar && !toNear) other.destroy();
      });
    }
  }
}

/** Cuts what a client sends into messages. */
class Messages {
  /** From its first message. */
  application = '';
  #rest = Buffer.alloc(0);
  #started = false;
  readonly #prepared = new Map<string, string>();

  *take(chunk: Buffer): Generator<{ readonly bytes: Buffer; readonly statement: string }> {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (;;) {
      // The first message has no byte for its type.
      const typeLength = this.#started ? 1 : 0;
      if (this.#rest.length < typeLength + 4) return;
      const length = typeLength + this.#rest.readInt32BE(typeLength);
      if (this.#rest.length < length) return;
      const bytes = this.#rest.subarray(0, length);
      this.#rest = this.#rest.subarray(length);
      yield { bytes, statement: this.#read(bytes) };
    }
  }

  #read(bytes: Buffer): string {
    if (!this.#started) {
      this.#started = true;
      const fields = bytes.subarray(8).toString().split('\0');
      this.application = fields[fields.indexOf('application_name') + 1] ?? '';
      return '';
    }
    const type = String.fromCharCode(bytes[0] ?? 0);
    if (type === 'Q') return bytes.subarray(5, -1).toString();
    const [first = '', second = ''] = bytes.subarray(5).toString('latin1').split('\0', 2);
    // Parse: the name of a prepared statement, then its text
    if (type === 'P') {
      this.#prepared.set(first, second);
      return second;
    }
    // Bind: a portal, then the name of its statement
    return (type === 'B' && this.#prepared.get(second)) || '';
  }
}
