import { formatPosition, type Position, parsePosition, positionOf } from './position.js';

// Each start of Postgres has an epoch of its own, with a random id. A clean restart loses nothing: positions of the epoch
// before hold in the next one, up to where it ended. So that positions of before and after a restart compare as equals,
// they carry in this process the name of their lineage instead of an epoch's id. Ids are read and written at the edge.

/** The facts that are known of an epoch's id. */
interface Known {
  readonly lineage: string;
  /** Positions of it hold up to this `xmax`. Absent for the epoch in force. */
  readonly end?: bigint;
}

const known = new Map<string, Known>();
/** The epoch in force of each lineage. */
const inForce = new Map<string, string>();
let lineages = 0;

/**
 * Takes what the database says of epochs.
 * @param id the epoch in force.
 * @param earlier epochs whose positions hold in it, and the `xmax` up to which they do.
 */
export function learnEpochs(id: string, earlier: Readonly<Record<string, string>>): void {
  const lineageOfId = known.get(id)?.lineage;
  if (lineageOfId !== undefined && inForce.get(lineageOfId) === id) return;
  // A data folder that was put back knows an epoch of before, and not the one that this process has seen last.
  let lineage = [...inForce].find(([, last]) => Object.hasOwn(earlier, last))?.[0];
  if (lineage === undefined) {
    lineages += 1;
    lineage = `${id}+${lineages}`;
  }
  inForce.set(lineage, id);
  for (const [before, end] of Object.entries(earlier)) known.set(before, { lineage, end: BigInt(end) });
  known.set(id, { lineage });
}

/** The id of the epoch in force in a position's lineage; of any other position its own. */
export function epochId({ epoch }: Position): string {
  return inForce.get(epoch) ?? epoch;
}

/** Names the lineage of a position whose epoch is known and has not ended before it. Others stay, and are equal to none. */
export function resolve(position: Position): Position {
  const epoch = known.get(position.epoch);
  if (!epoch || (epoch.end !== undefined && position.xmax > epoch.end)) return position;
  return { ...position, epoch: epoch.lineage };
}

/** Reads a position from the database, of the epoch in force. Throws where it is malformed. */
export function positionInForce(id: string, snapshot: string): Position {
  return resolve(positionOf(id, snapshot));
}

/** Reads a position that a client sent back. @returns undefined where the text is none, see {@link parsePosition}. */
export function readPosition(text: string): Position | undefined {
  const position = parsePosition(text);
  return position && resolve(position);
}

/** Writes a position for a client, as one of the epoch in force. See {@link formatPosition} for its length. */
export function writePosition(position: Position): string {
  return formatPosition({ ...position, epoch: epochId(position) });
}
