import type { Caller } from '../../caller.js';
import type { Exchange } from '../../exchange.js';
import { HttpError } from '../../http-error.js';
import type { FeedHandler } from '../feed-handlers.js';

/** Makes a handler that answers callers with the right `monitor` alone. @throws {HttpError} forbidden, to all others. */
export function allowed(
  answer: (exchange: Exchange, caller: Caller, askCaller: () => Promise<Caller>) => ReturnType<FeedHandler>,
): FeedHandler {
  return async (exchange, askCaller) => {
    const ask = async () => {
      const caller = await askCaller();
      if (caller.monitor === true) return caller;
      throw new HttpError(
        'forbidden',
        'The caller has no right to the monitor: the claim monitor, or the field of caller()',
      );
    };
    return answer(exchange, await ask(), ask);
  };
}
