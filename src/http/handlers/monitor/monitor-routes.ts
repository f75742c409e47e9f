import { z } from 'zod';
import type { Monitor } from '../../../monitor/monitor.js';
import { BUCKETS } from '../../../monitor/report.js';
import { parseTopic } from '../../../scope.js';
import type { Caller } from '../../caller.js';
import { type Exchange, jsonAnswer } from '../../exchange.js';
import { HttpError } from '../../http-error.js';
import type { FeedRoute, HandlerParts } from '../feed-handlers.js';
import { allowed } from './allowed.js';
import { monitorStreamHandler } from './monitor-stream.js';
import { pageRoutes } from './page.js';

/** The path at which the monitor's answers begin. */
const API = '/api/monitor';

/** The longest search, in characters. */
const MAX_SEARCH = 200;

const subject = z.string().min(1).max(200);
const ending = z.strictObject({ subject, client: z.string().min(1).max(100).optional() });
const test = z.strictObject({ resource: z.string().min(1).max(200) });

/** Makes the routes of the monitor: its page, for everybody, and what the page shows, for callers with the right `monitor`. */
export function monitorRoutes(monitor: Monitor, parts: HandlerParts): readonly FeedRoute[] {
  const get = (name: string, answer: (exchange: Exchange, caller: Caller) => Promise<object>): FeedRoute => ({
    path: `${API}/${name}`,
    method: 'GET',
    handle: allowed(async (exchange, caller) => jsonAnswer(await answer(exchange, caller))),
  });
  const post = (name: string, answer: (exchange: Exchange, caller: Caller) => Promise<object>): FeedRoute => ({
    ...get(name, answer),
    method: 'POST',
  });
  return [
    ...pageRoutes(),
    { path: `${API}/events`, method: 'GET', handle: monitorStreamHandler(monitor, parts) },
    get('history', ({ parameters }, caller) => monitor.history(bucketsOf(parameters.last), caller.subject)),
    get('streams', ({ parameters }, caller) => monitor.streams(searchOf(parameters.search), caller.subject)),
    get('tables', ({ parameters }) => monitor.tables(parameters.anew === '1')),
    post('test', async (exchange, caller) => {
      const { resource } = test.parse(await exchange.json());
      return monitor.tests.run(requireResource(resource), caller.subject);
    }),
    post('end', async (exchange, caller) => {
      const given = ending.parse(await exchange.json());
      parts.logger.info({ by: caller.subject, ...given }, 'streams are ended by the monitor');
      return { ended: await monitor.end(given, caller.subject) };
    }),
  ];
}

function bucketsOf(given: string | string[] | undefined): number {
  if (given === undefined) return BUCKETS;
  const buckets = typeof given === 'string' && /^\d{1,3}$/.test(given) ? Number(given) : 0;
  if (buckets >= 1 && buckets <= BUCKETS) return buckets;
  throw new HttpError('bad_request', `last: expected a number from 1 to ${BUCKETS}`);
}

function searchOf(given: string | string[] | undefined): string {
  const search = given ?? '';
  if (typeof search === 'string' && search.length <= MAX_SEARCH) return search;
  throw new HttpError('bad_request', `search: expected at most ${MAX_SEARCH} characters`);
}

function requireResource(text: string): string {
  try {
    const { resource, scope } = parseTopic(text);
    if (!scope && resource !== '*') return resource;
  } catch {
    // the same answer
  }
  throw new HttpError('bad_request', 'resource: expected the name of a resource, without a scope');
}
