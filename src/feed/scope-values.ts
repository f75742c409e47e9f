/** The whole numbers of a type, as Postgres prints them. */
const WHOLE = /^(?:0|-?[1-9]\d{0,18})$/;

/** The bits of the types of whole numbers. */
const BITS: Readonly<Record<string, number>> = { int2: 16, int4: 32, int8: 64 };

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/**
 * Checks that a value has the one text that Postgres prints for its type. Values are compared and authorized as texts, so
 * another text of the same value would be another one: no `07`, `+7`, `t`, or uuid in capital letters.
 * @param type a base type; texts and enums are taken as they are.
 * @returns the text that was expected; undefined where nothing is wrong.
 */
export function valueFault(type: string, value: string): string | undefined {
  const bits = BITS[type];
  if (bits !== undefined) {
    const fits = WHOLE.test(value) && BigInt.asIntN(bits, BigInt(value)) === BigInt(value);
    return fits ? undefined : `expected a whole number of ${bits} bits such as 7, without + and leading zeros`;
  }
  if (type === 'bool') return value === 'true' || value === 'false' ? undefined : 'expected true or false';
  if (type === 'uuid') return UUID.test(value) ? undefined : 'expected a uuid in small letters, with hyphens';
  return undefined;
}
