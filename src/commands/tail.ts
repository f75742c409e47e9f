import { atMost } from '../at-most.js';
import { parseDuration } from '../config.js';
import { databaseFailure } from '../database/failure.js';
import { scopeFault } from '../feed/declared-scopes.js';
import type { Failures } from '../feed/failure-log.js';
import { ChangeLog } from '../feed/log/change-log.js';
import { readPosition, writePosition } from '../feed/log/epochs.js';
import { LogReader } from '../feed/log/log-reader.js';
import type { Position } from '../feed/log/position.js';
import type { Reading } from '../feed/log/reading.js';
import { CHANNEL, CLOSE_MS, NotificationListener } from '../feed/notify/listener.js';
import { checkDatabaseServer } from '../feed/start-check.js';
import { OperatorError } from '../operator-error.js';
import { formatTopic, parseTopic } from '../scope.js';
import { FollowedTopics } from '../streams/followed-topics.js';
import { StreamRights } from '../streams/rights.js';
import { EVERY_RESOURCE } from '../streams/subscription.js';
import { databaseAddresses } from './database.js';
import { jsonLines, tailedChanges, textLines } from './tail-lines.js';
import { reachedJson, reachedText, TailReached } from './tail-reached.js';

/** Options of `tail`. */
export interface TailOptions {
  /** A duration such as `10m`, or a position. */
  readonly since?: string;
  readonly json: boolean;
  /** Asks the servers after each change whether it has reached anyone. */
  readonly reached: boolean;
}

/** The longest time between two reads, in ms: where no server leads, no writer notifies. */
const LOOK_MS = 500;
/** The exit code after SIGINT, as shells expect it: 128 + 2. */
const INTERRUPTED = 130;

/**
 * Prints changes as they commit, until Ctrl-C or until nobody reads any more. It only reads: it never leads, so that it
 * holds up no writer and no server, also when it is suspended.
 * @throws {OperatorError} where the feed can't be read, in one sentence.
 */
export async function tail(given: readonly string[], options: TailOptions): Promise<void> {
  const { url, listenUrl } = databaseAddresses();
  const log = new ChangeLog(listenUrl, () => {});
  const followed = new FollowedTopics(topicsOf(given), new StreamRights('*'));
  if (followed.hasScopes) log.tellScopes();
  const forPrograms = options.json || !process.stdout.isTTY;
  const write = (texts: readonly string[]) => process.stdout.write(texts.map((text) => `${text}\n`).join(''));
  const reached = new TailReached(
    log,
    (reach) => write([forPrograms ? reachedJson(reach) : reachedText(reach)]),
    (error) => note(`The servers could not be asked: ${error instanceof Error ? error.message : error}`),
  );
  const print = (reading: Reading, before: Position) => {
    if (reading.lost) note('Changes were missed that the log does not have any more.');
    const tailed = tailedChanges(reading, followed);
    const lines = forPrograms ? jsonLines(tailed, before, reading.position) : textLines(tailed);
    if (lines.length > 0) write(lines);
    if (options.reached) reached.add(tailed.map(({ change }) => change));
  };

  const begin = await start(log, url, options.since, followed);
  let { position } = begin;
  const reader = new LogReader({
    log,
    start: position,
    failures: failuresNoted(),
    onReading: (reading) => {
      print(reading, position);
      position = reading.position;
    },
  });
  const listener = new NotificationListener(listenUrl, {
    onNotification: () => void reader.read(),
    onReconnected: () => void reader.read(),
    onLost: () => {},
    onError: () => {},
  });
  try {
    await listener.start((payload) => log.query('select pg_notify($1, $2)', [CHANNEL, payload]));
  } catch (error) {
    throw databaseFailure(error, listenUrl);
  }
  note(begin.note);
  const looking = setInterval(() => void reader.read(), LOOK_MS);
  void reader.read();

  const code = await ended();
  clearInterval(looking);
  reader.stop();
  if (code === INTERRUPTED) note(`Go on from here: pg-change-feed tail --since ${writePosition(position)}`);
  await atMost(CLOSE_MS, Promise.all([listener.stop(), log.close()]));
  process.exit(code);
}

/** Finds the position at which it begins, and a sentence about that. */
async function start(
  log: ChangeLog,
  url: string,
  since: string | undefined,
  followed: FollowedTopics,
): Promise<{ position: Position; note: string }> {
  const position = since === undefined ? undefined : readPosition(since);
  const seconds = since === undefined || position ? undefined : secondsOf(since);
  try {
    await checkDatabaseServer(log, url);
    await requireScopes(log, followed.topics);
    const now = await log.position();
    if (position) return { position, note: 'Listening from the position that --since names.' };
    if (seconds === undefined) return { position: now, note: 'Listening from now on.' };
    const earlier = await log.positionBefore(seconds);
    if (!earlier) return { position: now, note: `Listening from now on: the log has no change of the last ${since}.` };
    const { position: start, firstAt } = earlier;
    const from = firstAt ? `${firstAt.toISOString()}, the first change in the log since then` : `${since} ago`;
    return { position: start, note: `Listening from ${from}.` };
  } catch (error) {
    await log.close();
    throw databaseFailure(error, url);
  }
}

/** Reads the topics of the command line; none: all. @throws {OperatorError} for what is no topic. */
function topicsOf(given: readonly string[]): string[] {
  try {
    return given.length > 0 ? given.map((text) => formatTopic(parseTopic(text))) : [EVERY_RESOURCE];
  } catch (error) {
    throw new OperatorError((error as TypeError).message);
  }
}

/** Checks that the tables have these scopes. @throws {OperatorError} with what to do. */
async function requireScopes(log: ChangeLog, topics: readonly string[]): Promise<void> {
  const scoped = topics.map(parseTopic).filter(({ scope }) => scope);
  if (scoped.length === 0) return;
  const tables = new Map((await log.watchedTables()).map((table) => [table.resource, table]));
  for (const { resource, scope = {} } of scoped) {
    const table = tables.get(resource);
    const fault = table && scopeFault(table, scope);
    if (fault !== undefined) throw new OperatorError(fault);
  }
}

function secondsOf(since: string): number {
  try {
    return parseDuration(since);
  } catch {
    throw new OperatorError(`--since: expected a duration such as 10m, or a position, got ${since}`);
  }
}

/** Resolves with the exit code: Ctrl-C, SIGTERM, or a reader of our output that has left. */
function ended(): Promise<number> {
  return new Promise((resolve) => {
    process.on('SIGINT', () => resolve(INTERRUPTED));
    process.on('SIGTERM', () => resolve(143));
    process.stdout.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EPIPE' ? 0 : 1));
  });
}

/** Says once that the log can't be read, and once that it can again. */
function failuresNoted(): Failures {
  let failing = false;
  return {
    succeeded: () => {
      if (failing) note('The database answers again.');
      failing = false;
    },
    failed: () => {
      if (!failing) note('The database does not answer; trying again.');
      failing = true;
    },
  };
}

function note(text: string): void {
  process.stderr.write(`${text}\n`);
}
