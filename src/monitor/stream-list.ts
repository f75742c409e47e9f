import type { Client } from '../streams/client.js';
import type { SSEManager } from '../streams/manager.js';
import { cut } from './live-changes.js';
import type { StreamList, StreamRow } from './report.js';

/** Streams of one server that are listed. */
const MAX_LISTED = 50;

/**
 * Lists streams of a server: those that are behind first, then the newest.
 * @param search a part of the subject, a resource or scope, or the id of the stream, in any case. Empty: all.
 */
export function listStreams(server: string, streams: SSEManager, search: string): StreamList {
  const wanted = search.toLowerCase();
  const behind: Client[] = [];
  const others: Client[] = [];
  let total = 0;
  for (const client of streams.clients()) {
    if (wanted !== '' && !matches(client, wanted)) continue;
    total += 1;
    if (client.isFull) {
      if (behind.length < MAX_LISTED) behind.push(client);
      continue;
    }
    others.push(client);
    // The newest are the last.
    if (others.length > 2 * MAX_LISTED) others.splice(0, MAX_LISTED);
  }
  const listed = [...behind, ...others.reverse()].slice(0, MAX_LISTED);
  return { streams: listed.map((client) => rowOf(server, client)), total };
}

/** Counts the streams that do not read fast enough. */
export function countBehind(streams: SSEManager): number {
  let count = 0;
  for (const client of streams.clients()) if (client.isFull) count += 1;
  return count;
}

function matches({ id, subject, subscriptions }: Client, wanted: string): boolean {
  if (id.toLowerCase().includes(wanted) || subject.toLowerCase().includes(wanted)) return true;
  for (const topic of subscriptions.keys()) if (topic.toLowerCase().includes(wanted)) return true;
  return false;
}

function rowOf(server: string, client: Client): StreamRow {
  return {
    server,
    client: client.id,
    subject: client.subject,
    topics: cut([...client.subscriptions.keys()].join(', ')),
    openedAgoMs: performance.now() - client.openedAt,
    position: client.currentId,
    full: client.isFull,
    behind: client.behind,
  };
}
