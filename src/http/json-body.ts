import type { IncomingMessage } from 'node:http';
import { HttpError } from './http-error.js';

/** The largest body, in kB: it names a stream, a resource and a position. */
const MAX_BODY_KB = 64;

/** A body before it is read: its bytes, and the headers that say what they are. */
export interface UnreadBody {
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
}

/**
 * Reads a body as JSON.
 * @throws {HttpError} unsupported_media_type for anything but plain JSON, payload_too_large over 64 kB, bad_request for
 *   malformed JSON.
 */
export async function readJson({ bytes, contentType, contentEncoding }: UnreadBody): Promise<unknown> {
  requireJson(contentType);
  if (contentEncoding && contentEncoding !== 'identity') {
    throw new HttpError('unsupported_media_type', 'The body has an unknown Content-Encoding');
  }
  return parse(await read(bytes));
}

/**
 * Reads the body of a request of node:http as JSON, or takes what a parser of the application has made of it.
 * @param parsed the parser's result: `request.body`.
 * @throws {HttpError} as {@link readJson} does.
 */
export async function jsonOf(request: IncomingMessage, parsed: unknown): Promise<unknown> {
  const { headers } = request;
  // A parser of other types leaves {} and the body unread (body-parser 1).
  const isRead = request.readableDidRead || (parsed !== undefined && !isEmpty(parsed));
  if (!isRead) {
    return readJson({
      // Else a body that is too long would destroy the connection, and the answer with it.
      bytes: request.iterator({ destroyOnReturn: false }),
      contentType: headers['content-type'],
      contentEncoding: headers['content-encoding'],
    });
  }
  requireJson(headers['content-type']);
  if (parsed === undefined) throw new Error('The body was read before the feed, and is not in request.body');
  return typeof parsed === 'string' || parsed instanceof Uint8Array ? parse(parsed) : parsed;
}

async function read(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of bytes) {
      length += chunk.length;
      if (length > MAX_BODY_KB * 1024) break;
      chunks.push(chunk);
    }
  } catch {
    throw new HttpError('bad_request', 'The body did not arrive whole');
  }
  if (length > MAX_BODY_KB * 1024) {
    throw new HttpError('payload_too_large', `The body has more than ${MAX_BODY_KB} kB`);
  }
  return Buffer.concat(chunks);
}

function requireJson(contentType: string | undefined): void {
  if (/^application\/json *(;|$)/i.test(contentType ?? '')) return;
  throw new HttpError('unsupported_media_type', 'The body has to be JSON: Content-Type: application/json');
}

function isEmpty(parsed: unknown): boolean {
  return typeof parsed === 'object' && parsed !== null && Object.keys(parsed).length === 0;
}

function parse(body: string | Uint8Array): unknown {
  try {
    return JSON.parse(typeof body === 'string' ? body : new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new HttpError('bad_request', 'The body is not a JSON object');
  }
}
