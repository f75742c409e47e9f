import { createHash } from 'node:crypto';
import { HttpError } from 'pg-change-feed';

/** A strong ETag of a row: of what clients see of it, so that it holds in each server and after a restore. */
export function etagOf(row: object): string {
  return `"${createHash('sha256').update(JSON.stringify(row)).digest('base64url').slice(0, 22)}"`;
}

/** Tells whether `If-None-Match` names this ETag: weak comparison (RFC 9110, 13.1.2). */
export function matchesNone(header: string, etag: string): boolean {
  return header !== '' && (header.trim() === '*' || tagsOf(header).some((tag) => tag.replace(/^W\//, '') === etag));
}

/**
 * Holds a change to `If-Match`: strong comparison (RFC 9110, 13.1.1), so a weak tag never matches.
 * @throws {HttpError} 412 when the row has changed since the client read it.
 */
export function requireMatch(header: string, row: object): void {
  if (header === '' || header.trim() === '*' || tagsOf(header).includes(etagOf(row))) return;
  throw new HttpError('precondition_failed', 'The row has changed since it was read: read it again');
}

function tagsOf(header: string): string[] {
  return header.split(',').map((tag) => tag.trim());
}
