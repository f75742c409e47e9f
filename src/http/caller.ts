import { z } from 'zod';
import type { Logger } from '../logger.js';
import { failingClosed } from './authorize.js';
import { HttpError } from './http-error.js';

/** The caller of a request, and its rights. */
export interface Caller {
  /** The `sub` of the token: a stream belongs to the subject that opened it. */
  readonly subject: string;
  /** Decides whether the caller may receive a resource. Anything but true is a no. */
  readonly authorize: (resource: string) => boolean;
  /** The end of the caller's rights, in ms since 1970. Absent: never. */
  readonly expiresAt?: number;
}

const caller = z.looseObject({
  // Without an owner, anybody could subscribe a stream.
  subject: z.string('expected text').min(1, 'expected text'),
  expiresAt: z.number('expected ms since 1970').optional(),
});

/**
 * Checks what the application says of a caller, and makes its `authorize` fail closed.
 * @throws {HttpError} unauthorized without a subject, or with a malformed end.
 */
export function requireCaller(given: Caller, logger: Logger): Caller {
  const [issue] = caller.safeParse(given).error?.issues ?? [];
  if (issue) throw new HttpError('unauthorized', `The caller has no valid ${issue.path.join('.')}: ${issue.message}`);
  return { ...given, authorize: failingClosed(given.authorize, logger) };
}
