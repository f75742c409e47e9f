import { z } from 'zod';

const MAX_INT4 = 2_147_483_647;

/** Text for a column: Postgres has no NUL in text. */
export const text = (max: number) =>
  z
    .string('expected text')
    .max(max, `expected at most ${max} characters`)
    .refine((value) => !value.includes('\0'), 'expected text without NUL');

/** Text that says something. */
export const someText = (max: number) => text(max).regex(/\S/, 'expected text that is not blank');

/** A whole number as Postgres' `integer` holds it. */
export const integer = (min: number) =>
  z
    .number(`expected a whole number from ${min}`)
    .int(`expected a whole number from ${min}`)
    .min(min, `expected a whole number from ${min}`)
    .max(MAX_INT4, `expected at most ${MAX_INT4}`);

/** A day that the calendar has: `2030-07-01`. */
export const day = z
  .string('expected a day such as 2030-07-01')
  .pipe(z.iso.date('expected a day such as 2030-07-01'))
  .refine((value) => !value.startsWith('0000'), 'expected a year from 0001');

/** A moment with its offset from UTC, in the years 0001 to 9999: `2030-06-01T18:00:00+02:00`. */
export const moment = z
  .string('expected a moment such as 2030-06-01T18:00:00Z')
  .pipe(z.iso.datetime({ offset: true, error: 'expected a moment such as 2030-06-01T18:00:00Z' }))
  .transform((value) => new Date(value))
  // In UTC: a later year would be answered in a form that we don't take ourselves.
  .refine(
    (value) => value.getUTCFullYear() >= 1 && value.getUTCFullYear() <= 9999,
    'expected a year from 0001 to 9999',
  );

/** A number in a path or a query. */
export const numberInUrl = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,10}$/, `expected a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `expected a whole number from ${min} to ${max}`);

/** A row's id in a path or a query. */
export const idInUrl = numberInUrl(1, MAX_INT4);
