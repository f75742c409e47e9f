import { MAX_MONITORS, type Monitor } from '../../../monitor/monitor.js';
import { Expiry } from '../../../streams/expiry.js';
import { HttpError, stopsError } from '../../http-error.js';
import type { FeedHandler, HandlerParts } from '../feed-handlers.js';
import { STREAM_HEADERS } from '../stream.js';
import { allowed } from './allowed.js';

/** The time between two questions for the rights of an open page, in ms, where no other is set. */
const REAUTHORIZE_MS = 60_000;

/** Makes the handler of `GET /api/monitor/events`. The stream counts as one of the caller's, and ends with its rights. */
export function monitorStreamHandler(monitor: Monitor, parts: HandlerParts): FeedHandler {
  const { streams, limits, reauthorizeMs } = parts;
  const expiry = new Expiry();
  return allowed(async (exchange, caller, ask) => {
    const { subject, expiresAt } = caller;
    if (streams.closed) throw stopsError();
    if (exchange.isOver) return;
    if (monitor.pageCount >= MAX_MONITORS) {
      throw new HttpError('too_many_requests', `At most ${MAX_MONITORS} pages of the monitor: close another`, {
        'Retry-After': '5',
      });
    }
    const leave = limits.admit(subject);
    const socket = exchange.openStream(STREAM_HEADERS);
    const page = monitor.open(socket);
    const stopWatching = streams.revoked.watch(subject, () => page.end('revoked'));
    if (expiresAt !== undefined) expiry.add(page, expiresAt);
    const asking = setInterval(
      () => {
        ask().catch((error: unknown) => {
          // An outage of what knows the rights ends no page.
          if (error instanceof HttpError && error.status < 500) page.end('revoked');
        });
      },
      Math.min(reauthorizeMs, REAUTHORIZE_MS),
    );
    socket.once('close', () => {
      leave();
      stopWatching();
      if (expiresAt !== undefined) expiry.delete(page, expiresAt);
      clearInterval(asking);
    });
  });
}
