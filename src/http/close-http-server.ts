import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** A request that is under way when the server stops may take this long, in ms; streams end sooner. */
const LAST_REQUESTS_MS = 5000;
/** How often connections that have become idle are closed while the server stops, in ms. */
const IDLE_CHECK_MS = 20;

/**
 * To be called before the server listens.
 * @returns what closes it: it takes no more connections, and waits for the last requests, for 5 s at the most, but not
 * for clients that keep their connection, or have one without having asked for anything.
 */
export function httpServerCloser(http: Server): () => Promise<void> {
  // Browsers open connections ahead of a request, and Node doesn't count those as idle.
  const unused = new Set<Socket>();
  function forget(this: Socket) {
    unused.delete(this);
  }
  http.on('connection', (socket: Socket) => {
    unused.add(socket);
    socket.on('close', forget);
  });
  http.on('request', ({ socket }) => {
    // Nothing of this is kept for a stream's life.
    if (unused.delete(socket)) socket.off('close', forget);
  });

  const closeIdle = () => {
    http.closeIdleConnections();
    for (const socket of unused) if (socket.bytesRead === 0) socket.destroy();
  };
  return () =>
    new Promise((resolve) => {
      // Again and again: a connection whose stream has just ended is idle only after its last bytes have left.
      const idle = setInterval(closeIdle, IDLE_CHECK_MS);
      const late = setTimeout(() => http.closeAllConnections(), LAST_REQUESTS_MS);
      http.close(() => {
        clearInterval(idle);
        clearTimeout(late);
        resolve();
      });
    });
}
