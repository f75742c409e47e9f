import { createCipheriv, createDecipheriv } from 'node:crypto';

/** The key of a leader's term, and whose notifications it is for. */
export interface MessageKey {
  /** Names the term, 16 hexadecimal digits: a leader begins one with its session, and each day. */
  readonly term: string;
  /** 32 bytes. */
  readonly key: Buffer;
}

/** The bounds of a message: it cannot be read where one of these is another. */
export interface Bound {
  readonly channel: string;
  /** The id of the epoch in force. */
  readonly epoch: string;
  /** The process id of the session that sends it. Postgres tells it to every listener, so nobody else can send it again. */
  readonly pid: number;
}

/** Raised with each change of the format. Servers of another version read instead. */
const VERSION = 1;

const TERM_BYTES = 8;
const NUMBER_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + TERM_BYTES + NUMBER_BYTES;

/** A payload that begins as a message does: its version, the term, and the number of the message. */
export interface SealedMessage {
  readonly term: string;
  readonly number: number;
  readonly bytes: Buffer;
}

/**
 * Encrypts a message with AES-256-GCM, as the payload of a notification: anybody with a login may LISTEN.
 * @param number of the message in its term, from 1: never the same one twice with one key.
 * @see https://nvlpubs.nist.gov/nistpubs/Legacy/SP/nistspecialpublication800-38d.pdf, 8.2.1: the nonce may be a counter.
 */
export function seal(text: Buffer, { term, key }: MessageKey, number: number, bound: Bound): string {
  const cipher = createCipheriv('aes-256-gcm', key, nonceOf(number), { authTagLength: TAG_BYTES });
  cipher.setAAD(boundTo(term, bound));
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt8(VERSION, 0);
  head.write(term, 1, 'hex');
  head.writeBigUInt64BE(BigInt(number), 1 + TERM_BYTES);
  return Buffer.concat([head, cipher.update(text), cipher.final(), cipher.getAuthTag()]).toString('base64');
}

/** Reads the beginning of a payload; undefined where it is no message of this version. */
export function sealedMessageOf(payload: string): SealedMessage | undefined {
  const bytes = Buffer.from(payload, 'base64');
  if (bytes.length < HEAD_BYTES + TAG_BYTES || bytes.readUInt8(0) !== VERSION) return undefined;
  const term = bytes.toString('hex', 1, 1 + TERM_BYTES);
  const number = bytes.readBigUInt64BE(1 + TERM_BYTES);
  return number > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : { term, number: Number(number), bytes };
}

/** Decrypts a message. @throws where it was sealed with another key, number or bounds, or was changed. */
export function open({ term, number, bytes }: SealedMessage, key: Buffer, bound: Bound): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(number), { authTagLength: TAG_BYTES });
  decipher.setAAD(boundTo(term, bound));
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(bytes.subarray(HEAD_BYTES, -TAG_BYTES)), decipher.final()]);
}

function nonceOf(number: number): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeBigUInt64BE(BigInt(number), NONCE_BYTES - NUMBER_BYTES);
  return nonce;
}

/** As JSON, so that no part reads like another. */
function boundTo(term: string, { channel, epoch, pid }: Bound): Buffer {
  return Buffer.from(JSON.stringify([VERSION, channel, epoch, term, pid]));
}
