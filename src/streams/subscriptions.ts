import { z } from 'zod';
import type { ChangeFeed } from '../feed/change-feed.js';
import { readPosition } from '../feed/log/epochs.js';
import type { Position } from '../feed/log/position.js';
import { NoAnswerError, TooManyCallsError, UnknownServerError } from '../feed/servers/server-calls.js';
import { type ErrorCode, HttpError, STATUS_OF_CODE } from '../http/http-error.js';
import { parseTopic } from '../scope.js';
import { type SSEManager, UnknownClientError } from './manager.js';
import { authorizeByRights, type Rights } from './rights.js';
import { EVERY_RESOURCE } from './subscription.js';

/** The form of a stream's id: the server that has it, and a random part. */
const CLIENT_ID = /^([0-9a-f]{8})\.[\w-]+$/;

const order = z.strictObject({
  action: z.enum(['subscribe', 'unsubscribe']),
  clientId: z.string(),
  /** The `sub` of the token that asks. */
  subject: z.string(),
  /** A resource, the text of a scope, or `*`. */
  resource: z.string(),
  /** True where that token allows it. */
  authorized: z.boolean(),
  since: z.string().optional(),
});

/** An order to subscribe or unsubscribe a stream, wherever it is. */
export type SubscriptionOrder = z.infer<typeof order>;

/**
 * Subscribes streams to resources and unsubscribes them, also streams of other servers on the same database. A POST may
 * reach any server; it passes the order on to the one that the clientId names.
 */
export class Subscriptions {
  readonly #feed: ChangeFeed;
  readonly #manager: SSEManager;
  readonly #maxSubscriptions: number;

  /** Answers the orders of other servers from now on. @param maxSubscriptions of one stream. */
  constructor(feed: ChangeFeed, manager: SSEManager, maxSubscriptions: number) {
    this.#feed = feed;
    this.#manager = manager;
    this.#maxSubscriptions = maxSubscriptions;
    feed.calls.answerWith('subscription', (request) => this.#answer(request));
  }

  /**
   * Carries an order out where the stream is. Resolves when what it missed has been sent.
   * @throws {HttpError} not_found: it isn't a stream of this subject. forbidden: the resource isn't allowed.
   * too_many_requests: the stream has as many subscriptions as it may. unavailable: the server that has the stream does
   * not answer within two seconds.
   */
  async carryOut(given: SubscriptionOrder): Promise<void> {
    const server = CLIENT_ID.exec(given.clientId)?.[1];
    if (server === undefined || server === this.#feed.instanceId) return this.#carryOutHere(given);
    const code = await this.#feed.calls.call(server, given, given.subject).catch((error: unknown) => {
      if (error instanceof UnknownServerError) return 'not_found';
      if (error instanceof TooManyCallsError) throw tooManyCalls();
      if (error instanceof NoAnswerError) return 'unavailable';
      throw error;
    });
    if (code !== 'done')
      throw refusal(Object.hasOwn(STATUS_OF_CODE, code) ? (code as ErrorCode) : 'unavailable', given);
  }

  async #carryOutHere(given: SubscriptionOrder): Promise<void> {
    const { action, clientId, subject, resource, authorized, since } = given;
    try {
      if (action === 'unsubscribe') return this.#manager.unsubscribe(clientId, subject, resource);
      const client = this.#manager.requireClient(clientId, subject);
      // By the stream's own token, too: the stream ends with that one, whatever token this order came with.
      if (!authorized || !isAuthorized((name, scope) => client.authorize(name, scope), resource))
        throw forbidden(resource);
      const { subscriptions } = client;
      if (subscriptions.size >= this.#maxSubscriptions && !subscriptions.has(resource)) {
        throw refusal('too_many_requests', given);
      }
      await this.#manager.subscribe(
        clientId,
        subject,
        resource,
        since === undefined ? undefined : requirePosition(since),
      );
    } catch (error) {
      throw error instanceof UnknownClientError ? refusal('not_found', given) : error;
    }
  }

  /** Carries out an order of another server. @returns the code of the error that refuses it, or `done`. */
  async #answer(request: unknown): Promise<string> {
    try {
      await this.#carryOutHere(order.parse(request));
      return 'done';
    } catch (error) {
      if (error instanceof HttpError) return error.code;
      throw error;
    }
  }
}

/** Reads a position. @throws {HttpError} bad_request when the text is no position of a feed. */
export function requirePosition(text: string): Position {
  const position = readPosition(text);
  if (!position) throw new HttpError('bad_request', 'since: expected a position of this feed');
  return position;
}

/** Returns whether a caller may subscribe. `*` is all that they may receive, so it needs no right of its own. */
export function isAuthorized(rights: Rights, topic: string): boolean {
  if (topic === EVERY_RESOURCE) return true;
  const { resource, scope } = parseTopic(topic);
  return authorizeByRights(rights, resource, scope);
}

/** Checks that a caller may subscribe to all of these topics. @throws {HttpError} forbidden. */
export function requireRights(topics: readonly string[], rights: Rights): void {
  for (const topic of topics) if (!isAuthorized(rights, topic)) throw forbidden(topic);
}

/** Makes the error that refuses a topic which the token does not allow. */
function forbidden(topic: string): HttpError {
  return new HttpError('forbidden', `The token does not allow the resource ${topic}`);
}

function tooManyCalls(): HttpError {
  return new HttpError('too_many_requests', 'Too many calls at once: wait for the answers', { 'Retry-After': '1' });
}

/** Makes the error that refuses an order, in the same words wherever the stream is. */
function refusal(code: ErrorCode, { clientId, resource }: SubscriptionOrder): HttpError {
  switch (code) {
    case 'not_found':
      return new HttpError(code, `There is no stream ${JSON.stringify(clientId)} of yours`);
    case 'forbidden':
      return forbidden(resource);
    case 'too_many_requests':
      return new HttpError(code, 'The stream has as many subscriptions as it may: end another', { 'Retry-After': '5' });
    case 'unavailable':
      return new HttpError(code, 'The server that has the stream does not answer', { 'Retry-After': '1' });
    default:
      return new HttpError(code, code.replaceAll('_', ' '));
  }
}
