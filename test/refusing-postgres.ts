import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { targetOf } from './tcp-proxy.js';

/** How a Postgres refuses. */
export type Refusal =
  /** Nothing listens. */
  | 'refused'
  /** It accepts, and closes at once. */
  | 'closes'
  /** It accepts, and says nothing. */
  | 'mute'
  /** It lets the session in, and closes it then. */
  | 'closes later'
  /** It asks for a way to sign in that pg does not know. */
  | 'asks for GSSAPI'
  /** It lets the session in, and answers statements with a message that is cut. */
  | 'says nonsense'
  /** It answers the start with this error. */
  | { readonly fatal: string; readonly message: string }
  /** It lets the session in, and answers each statement that matches with this error. */
  | { readonly error: string; readonly message: string; readonly statement?: RegExp };

/**
 * A door before a real Postgres that lets everybody through, until it is told to refuse: by real sockets, in the words of
 * Postgres' protocol (https://www.postgresql.org/docs/current/protocol-message-formats.html).
 */
export class RefusingPostgres {
  readonly #target: string;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #refusal: Refusal | undefined;
  #port = 0;
  /** Connections that came since it refuses. */
  attempts = 0;
  /** Statements that were answered with an error since then. */
  refused = 0;
  /** Connections that are open, and the most that were at once. */
  open = 0;
  peak = 0;

  private constructor(databaseUrl: string) {
    this.#target = databaseUrl;
  }

  static async before(databaseUrl: string): Promise<RefusingPostgres> {
    const door = new RefusingPostgres(databaseUrl);
    await door.#open();
    return door;
  }

  /** The database's address through the door. */
  get url(): string {
    const url = new URL(this.#target);
    url.host = `127.0.0.1:${this.#port}`;
    return url.href;
  }

  /** Ends all sessions, and refuses new ones. */
  async refuse(refusal: Refusal): Promise<void> {
    this.#refusal = refusal;
    this.attempts = 0;
    this.refused = 0;
    if (refusal === 'refused') await this.#close();
    else this.#cut();
  }

  /** Lets everybody through again. */
  async relent(): Promise<void> {
    this.#refusal = undefined;
    this.#cut();
    if (!this.#server) await this.#open();
  }

  async close(): Promise<void> {
    await this.#close();
  }

  async #open(): Promise<void> {
    this.#server = createServer((near) => this.#accept(near));
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async #close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#cut();
    if (!server) return;
    server.close();
    await once(server, 'close');
  }

  #cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(near: Socket): void {
    this.#keep(near);
    this.open += 1;
    this.peak = Math.max(this.peak, this.open);
    near.on('close', () => {
      this.open -= 1;
    });
    const refusal = this.#refusal;
    this.attempts += 1;
    if (!refusal) this.#pass(near);
    else if (refusal === 'closes') near.destroy();
    else if (refusal === 'closes later') near.once('data', () => near.end(LET_IN));
    else if (refusal === 'mute' || refusal === 'refused') near.resume();
    else if (refusal === 'asks for GSSAPI') near.once('data', () => near.write(message('R', Buffer.of(0, 0, 0, 7))));
    else if (refusal === 'says nonsense') near.once('data', () => near.write(LET_IN)).on('data', () => near.write(CUT));
    else if ('fatal' in refusal) near.once('data', () => near.end(errorOf('FATAL', refusal.fatal, refusal.message)));
    else this.#pass(near, refusal);
  }

  /** To Postgres; statements that match do not get there. */
  #pass(near: Socket, refused?: Exclude<Refusal, string | { fatal: string }>): void {
    const far = connect({ ...targetOf(this.#target), noDelay: true });
    this.#keep(far);
    far.on('close', () => near.destroy());
    near.on('close', () => far.destroy());
    far.pipe(near, { end: false });
    near.on('data', (chunk: Buffer) => {
      const type = String.fromCharCode(chunk[0] ?? 0);
      const matches = refused && 'QP'.includes(type) && (refused.statement?.test(chunk.toString()) ?? true);
      if (matches) {
        this.refused += 1;
        near.write(Buffer.concat([errorOf('ERROR', refused.error, refused.message), READY]));
      } else far.write(chunk);
    });
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
  }
}

function message(type: string, body: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(type), length, body]);
}

function errorOf(severity: string, code: string, text: string): Buffer {
  const fields = [`S${severity}`, `V${severity}`, `C${code}`, `M${text}`, ''];
  return message('E', Buffer.from(`${fields.join('\0')}\0`));
}

const READY = message('Z', Buffer.from('I'));
/** A row that says that it has a column, and ends. */
const CUT = message('D', Buffer.of(0, 1));
const LET_IN = Buffer.concat([message('R', Buffer.alloc(4)), READY]);
