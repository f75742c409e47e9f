/// <reference path="./pgpass.d.ts" />
import type { Socket } from 'node:net';
import { Writable } from 'node:stream';
import pgpass from 'pgpass';
import { OperatorError } from '../operator-error.js';
import type { SessionTarget } from './address.js';

/** Makes the function that pg calls for a password that no address has. */
export function readsPasswordFile(target: SessionTarget, address: string): () => Promise<string> {
  return asksForPassword(() => passwordFromFile(target, address));
}

/**
 * Makes the function that pg calls for a password. pg calls it as a method of its client, whose connection is ended where there is
 * no password: pg leaves it open, and Postgres would hold it for a minute.
 */
export function asksForPassword(find: () => Promise<string>): () => Promise<string> {
  return async function (this: unknown) {
    try {
      return await find();
    } catch (error) {
      const client = this as { readonly connection?: { readonly stream: Socket } } | undefined;
      client?.connection?.stream.destroy(error as Error);
      throw error;
    }
  };
}

/** Collects the warnings of the library for one sentence: it would write them to stderr at each connection. */
let warned = '';
pgpass.warnTo(
  new Writable({
    write: (text, _encoding, done) => {
      warned = String(text);
      done();
    },
  }),
);

/**
 * The password in PGPASSFILE, or in `~/.pgpass`. pg reads them itself until its version 9, and warns of that.
 * @param address for the sentence, without a password.
 * @throws {OperatorError} where there is none for this session, or the file may not be used.
 * @see https://www.postgresql.org/docs/current/libpq-pgpass.html
 */
async function passwordFromFile(target: SessionTarget, address: string): Promise<string> {
  warned = '';
  const password = await new Promise<string | undefined>((resolve) => pgpass(target, resolve));
  if (password !== undefined) return password;
  const reason = warned && ` (${warned.trim().replace(/^WARNING: /, '')})`;
  throw new OperatorError(
    `The database ${address} asks for a password, and DATABASE_URL, PGPASSWORD and PGPASSFILE have none for it${reason}.`,
  );
}
