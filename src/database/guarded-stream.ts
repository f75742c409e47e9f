import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** The method that pg calls on its connection to read Postgres' messages from a socket, or from TLS over one. */
interface PgConnection {
  attachListeners(stream: Duplex): void;
}

/** Fails a connection on which the other side says something that pg cannot read. */
export class NotUnderstoodError extends Error {
  override readonly name = 'NotUnderstoodError';
}

/**
 * Makes the socket of a pg connection, as pg's option `stream`. pg reads messages in the socket's data event, where what it
 * throws would end the process: for a way to sign in that it does not know (GSSAPI, SSPI), and for a message that is cut or
 * malformed. Here the connection fails with a {@link NotUnderstoodError} instead, as with any other error of a socket.
 *
 * The option serves pg.Client, pg.Pool and pg-listen alike. pg calls it as a method of its connection.
 */
export function guardedStream(this: unknown): Duplex {
  const connection = this as PgConnection;
  const attachListeners = connection.attachListeners.bind(connection);
  connection.attachListeners = (stream) => {
    const before = new Set(stream.listeners('data'));
    attachListeners(stream);
    for (const read of stream.listeners('data') as ((chunk: Buffer) => void)[]) {
      if (before.has(read)) continue;
      stream.off('data', read);
      stream.on('data', (chunk: Buffer) => {
        try {
          read(chunk);
        } catch (error) {
          stream.destroy(new NotUnderstoodError((error as Error).message, { cause: error }));
        }
      });
    }
  };
  return new Socket();
}
