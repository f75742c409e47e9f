import type { ChangeFeed } from '../../feed/change-feed.js';
import { type Answer, jsonAnswer } from '../exchange.js';

/** Answers `GET /healthz`: the process answers. */
export function healthAnswer(): Answer {
  return jsonAnswer({ status: 'ok' });
}

/** Answers `GET /readyz`: the server can read the log and receives notifications, else 503 with the missing one. */
export function readinessAnswer({ health: { database, listener } }: ChangeFeed): Answer {
  const ready = database && listener;
  return jsonAnswer({ status: ready ? 'ok' : 'unavailable', database, listener }, ready ? 200 : 503);
}
