/** Writes a text as hexadecimal UTF-8, so that a database in any encoding has its characters. */
export function toHex(text: string): string {
  return Buffer.from(text).toString('hex');
}

/** Reads a text of {@link toHex}. */
export function fromHex(hex: string): string {
  return Buffer.from(hex, 'hex').toString();
}
