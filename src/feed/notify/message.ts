import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { z } from 'zod';
import { type ChangeRow, END_COLUMNS } from '../log/change-rows.js';
import { positionInForce } from '../log/epochs.js';
import { formatSnapshot } from '../log/position.js';
import type { Stretch } from '../log/stretch.js';
import type { Answers } from './unanswered.js';

/** A leader's message to the other servers. */
export type Message =
  | News
  /** More has changed than a message holds: read. */
  | { readonly kind: 'read' }
  /** The leader stops: another may lead. */
  | { readonly kind: 'vacant' };

/** A stretch that the leader has read, so that nobody else has to. */
export interface News {
  readonly kind: 'news';
  readonly stretch: Stretch;
  /** The time from the begin of the read to the message, in ms. */
  readonly readAgoMs: number;
  /** Which notifications of writers the read has answered. Absent: it is not known. */
  readonly answers?: Answers | undefined;
}

/**
 * The lengths of a message's text, in bytes; the last is all that a notification holds. Its exact length would tell anybody
 * who listens which table has changed.
 */
const LENGTHS = [16, 700, 1400, 2900, 5892] as const;
const LONGEST = LENGTHS[LENGTHS.length - 1] as number;

/** A text that is longer is not worth compressing: it would not fit. */
const MAX_UNPACKED = 128 * 1024;

/** One byte that says whether the text is packed, and two for its length. */
const HEAD = 3;

const newsSchema = z.tuple([
  z.string(),
  z.string(),
  z.number(),
  z.tuple([z.number(), z.number()]).nullable(),
  z.array(z.string()),
  z.array(z.array(z.unknown())),
]);

/**
 * Encodes a message, packed where it is long. A change takes all columns that the read has for it.
 * @returns undefined where it does not fit into a notification.
 */
export function encodeMessage(message: Message): Buffer | undefined {
  if (message.kind !== 'news') return pad(Buffer.from(JSON.stringify(message.kind)), false);
  const { stretch, readAgoMs, answers } = message;
  const columns = columnsOf(stretch.rows);
  const text = JSON.stringify([
    formatSnapshot(stretch.from),
    formatSnapshot(stretch.to),
    readAgoMs,
    answers ? [answers.behind, answers.notifications] : null,
    columns,
    stretch.rows.map((row) => columns.map((column) => (row as unknown as Record<string, unknown>)[column] ?? null)),
  ] satisfies z.infer<typeof newsSchema>);
  const bytes = Buffer.from(text);
  if (bytes.length + HEAD <= LONGEST) return pad(bytes, false);
  if (bytes.length > MAX_UNPACKED) return undefined;
  const packed = deflateRawSync(bytes, { level: 1 });
  return packed.length + HEAD <= LONGEST ? pad(packed, true) : undefined;
}

/**
 * Decodes a message.
 * @param epoch the id of the epoch that its positions are of.
 * @throws where it is malformed.
 */
export function decodeMessage(bytes: Buffer, epoch: string): Message {
  const text = bytes.subarray(HEAD, HEAD + bytes.readUInt16BE(1));
  const unpacked = bytes.readUInt8(0) === 1 ? inflateRawSync(text, { maxOutputLength: MAX_UNPACKED }) : text;
  const content: unknown = JSON.parse(unpacked.toString());
  if (content === 'read' || content === 'vacant') return { kind: content };
  const [from, to, readAgoMs, answers, columns, rows] = newsSchema.parse(content);
  return {
    kind: 'news',
    stretch: {
      from: positionInForce(epoch, from),
      to: positionInForce(epoch, to),
      rows: rows.map((values) => Object.fromEntries(columns.map((column, i) => [column, values[i]])) as never),
    },
    readAgoMs,
    answers: answers ? { behind: answers[0], notifications: answers[1] } : undefined,
  };
}

/** The columns of the rows, but for those of where the read has ended. */
function columnsOf(rows: readonly ChangeRow[]): string[] {
  const columns = new Set(rows.flatMap((row) => Object.keys(row)));
  for (const column of END_COLUMNS) columns.delete(column);
  return [...columns];
}

function pad(text: Buffer, packed: boolean): Buffer {
  const length = LENGTHS.find((each) => text.length + HEAD <= each) ?? LONGEST;
  const bytes = Buffer.alloc(length);
  bytes.writeUInt8(packed ? 1 : 0, 0);
  bytes.writeUInt16BE(text.length, 1);
  text.copy(bytes, HEAD);
  return bytes;
}
