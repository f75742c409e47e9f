/**
 * A position in the feed: an epoch and a Postgres snapshot, which says exactly which transactions a reader has seen.
 * Text form `epoch.xmin:xmax:xip,…`, after https://www.postgresql.org/docs/current/functions-info.html, "pg_snapshot":
 * every transaction below `xmax` that is not in `xip` has been seen.
 */
export interface Position {
  /** The id of `change_feed.epoch_in_force`: a position holds in its own epoch only. */
  readonly epoch: string;
  readonly xmin: bigint;
  readonly xmax: bigint;
  /** The transactions in progress, ascending, each from xmin up to, and without, xmax. */
  readonly xip: readonly bigint[];
}

/**
 * The longest position that leaves the server, in bytes. 500 open transactions would make 5.5 kB, and a request header
 * of 8 kB kills the request.
 */
export const MAX_POSITION_BYTES = 512;

const PATTERN = /^([0-9a-z]{1,32})\.(\d{1,19}):(\d{1,19}):((?:\d{1,19}(?:,\d{1,19})*)?)$/;
const MAX_XID = 2n ** 63n - 1n;

/**
 * Reads a position that a client sent back.
 * @returns undefined where the text is none: malformed, not a snapshot, or longer than {@link MAX_POSITION_BYTES}.
 */
export function parsePosition(text: string): Position | undefined {
  return text.length <= MAX_POSITION_BYTES ? readPosition(text) : undefined;
}

/** Reads a position from the database, of any length. Throws where it is malformed. */
export function positionOf(epoch: string, snapshot: string): Position {
  const position = readPosition(`${epoch}.${snapshot}`);
  if (!position) throw new TypeError(`Expected an epoch and a snapshot, got ${epoch} and ${snapshot}`);
  return position;
}

function readPosition(text: string): Position | undefined {
  const match = PATTERN.exec(text);
  if (!match) return undefined;
  const [, epoch = '', xminText = '', xmaxText = '', xipText = ''] = match;
  const xmin = BigInt(xminText);
  const xmax = BigInt(xmaxText);
  const xip = xipText === '' ? [] : xipText.split(',').map(BigInt);
  if (xmin < 1n || xmax < xmin || xmax > MAX_XID) return undefined;
  let previous = xmin - 1n;
  for (const xid of xip) {
    if (xid <= previous || xid >= xmax) return undefined;
    previous = xid;
  }
  return { epoch, xmin, xmax, xip };
}

/** The snapshot's text, as Postgres reads it (`::pg_snapshot`). */
export function formatSnapshot({ xmin, xmax, xip }: Position): string {
  return `${xmin}:${xmax}:${xip.join(',')}`;
}

/**
 * The position's text for clients, at most {@link MAX_POSITION_BYTES} long. A longer list of open transactions is cut
 * at x_k and becomes `xmin:x_k:x_1,…,x_(k-1)`: an earlier position, so that changes may repeat and none is missed.
 */
export function formatPosition(position: Position): string {
  const whole = `${position.epoch}.${formatSnapshot(position)}`;
  if (whole.length <= MAX_POSITION_BYTES) return whole;
  let length = position.epoch.length + 1 + `${position.xmin}:${position.xmax}:`.length;
  let kept = 0;
  for (const xid of position.xip) {
    length += `${xid},`.length;
    if (length > MAX_POSITION_BYTES) break;
    kept += 1;
  }
  const cut: Position = { ...position, xmax: position.xip[kept] ?? position.xmax, xip: position.xip.slice(0, kept) };
  return `${cut.epoch}.${formatSnapshot(cut)}`;
}

/** Tells whether a reader at `position` has seen what transaction `xid` committed. */
export function hasSeen(position: Position, xid: bigint): boolean {
  return xid < position.xmax && !position.xip.includes(xid);
}

/** Tells whether a reader at `position` has seen everything that one at `other` has, in the same epoch. */
export function isAtLeast(position: Position, other: Position): boolean {
  return (
    position.epoch === other.epoch &&
    position.xmax >= other.xmax &&
    position.xip.every((xid) => xid >= other.xmax || other.xip.includes(xid))
  );
}

/** A position from which all of these, of one epoch, can be reached: nothing that one of them has not seen lies before it. */
export function earliest(positions: readonly Position[]): Position {
  const [first] = positions;
  if (!first) throw new TypeError('Expected at least one position');
  const xmax = positions.reduce((least, position) => (position.xmax < least ? position.xmax : least), first.xmax);
  const open = new Set(positions.flatMap(({ xip }) => xip.filter((xid) => xid < xmax)));
  const xip = [...open].sort((a, b) => (a < b ? -1 : 1));
  return { epoch: first.epoch, xmin: xip[0] ?? xmax, xmax, xip };
}
