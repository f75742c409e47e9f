import { type Duplex, Transform } from 'node:stream';

/** A notification on its way from Postgres to a client. */
export interface PassingNotification {
  readonly payload: string;
  /** The session that sent it. */
  readonly pid: number;
  /** The whole message of the protocol. */
  readonly bytes: Buffer;
}

/**
 * Meddles with the notifications that a server receives: passes on what {@link NotificationFilter.meddle} makes of each.
 * All other answers of Postgres go through as they are. Without TLS.
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html, NotificationResponse
 */
export class NotificationFilter {
  /** Returns the messages that are passed on in place of one. */
  meddle: (notification: PassingNotification) => readonly Buffer[] = ({ bytes }) => [bytes];
  readonly #listening = new Set<Transform>();

  /** Makes the filter of one connection, for {@link TcpProxy.open}. */
  newFilter = (): Duplex => {
    let rest: Buffer = Buffer.alloc(0);
    const filter = new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        rest = Buffer.concat([rest, chunk]);
        while (rest.length >= 5 && rest.length > rest.readInt32BE(1)) {
          const bytes = rest.subarray(0, 1 + rest.readInt32BE(1));
          rest = rest.subarray(bytes.length);
          if (bytes.readUInt8(0) !== NOTIFICATION) filter.push(bytes);
          else {
            this.#listening.add(filter);
            for (const message of this.meddle(read(bytes))) filter.push(message);
          }
        }
        done();
      },
    });
    filter.on('error', () => {});
    filter.on('close', () => this.#listening.delete(filter));
    return filter;
  };

  /** Passes a message on to every connection that has received a notification before. */
  inject(bytes: Buffer): void {
    for (const filter of this.#listening) if (!filter.destroyed) filter.push(bytes);
  }
}

/** Its type, `A`. */
const NOTIFICATION = 0x41;

function read(bytes: Buffer): PassingNotification {
  const [, payload = ''] = bytes.subarray(9).toString().split('\0');
  return { payload, pid: bytes.readInt32BE(5), bytes: Buffer.from(bytes) };
}
