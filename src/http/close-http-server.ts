import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** The time that a request under way may take when the server stops, in ms; streams end sooner. */
const LAST_REQUESTS_MS = 5000;
/** The time between two closings of idle connections while the server stops, in ms. */
const IDLE_CHECK_MS = 20;

/**
 * Makes the function that closes a server. Call it before the server listens.
 * @returns a function after which the server takes no more connections. It waits for the last requests, 5 s at the most,
 * and not for connections without a request.
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
    // Or the listener would stay for as long as a stream does.
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
