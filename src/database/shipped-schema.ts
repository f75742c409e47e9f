import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '../package-root.js';

/** The version of the schema that this code works with: that of the files of sql/. */
export const SCHEMA_VERSION = 1;

/** The objects that the files of sql/ make, read from their text. */
export interface ShippedSchema {
  /** Names of the files, in the order in which they are applied. */
  readonly files: readonly string[];
  /** Names of the functions, tables and views, without the schema. */
  readonly objects: readonly string[];
  /** The body of each function, by its name. */
  readonly bodies: ReadonlyMap<string, string>;
}

const OBJECT = /^\s*create (?:or replace )?(?:unlogged )?(?:function|table|view|sequence) change_feed\.(\w+)/gm;
const FUNCTION = /^create (?:or replace )?function change_feed\.(\w+)\([\s\S]*?\bas (\$\w*\$)([\s\S]*?)\2;/gm;

let shipped: Promise<ShippedSchema> | undefined;

/** Reads the files of sql/, once in a process. @throws what node:fs throws where the package is not complete. */
export function shippedSchema(): Promise<ShippedSchema> {
  shipped ??= readShippedSchema();
  return shipped;
}

async function readShippedSchema(): Promise<ShippedSchema> {
  const folder = join(packageRoot, 'sql');
  const files = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
  const text = (await Promise.all(files.map((name) => readFile(join(folder, name), 'utf8')))).join('\n');
  return {
    files,
    objects: [...new Set([...text.matchAll(OBJECT)].map(([, name = '']) => name))],
    bodies: new Map([...text.matchAll(FUNCTION)].map(([, name = '', , body = '']) => [name, body])),
  };
}
