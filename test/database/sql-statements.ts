import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/package-root.js';

const folder = join(packageRoot, 'sql');

/** The names of the files of sql/, in the order in which they are applied. */
export const sqlFiles: readonly string[] = readdirSync(folder)
  .filter((name) => name.endsWith('.sql'))
  .sort();

/** The text of a file of sql/. */
export const sqlText = (name: string): string => readFileSync(join(folder, name), 'utf8');

/** What a runner of SQL scripts steps over: comments, text in quotes and in dollar quotes. */
const UNSPLIT = /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"[^"]*"|(\$\w*\$)[\s\S]*?\1|;/g;

/** Splits a text into its statements, as a runner does that sends them one by one. */
export function statementsOf(text: string): string[] {
  const ends = [...text.matchAll(UNSPLIT)].filter(([found]) => found === ';').map(({ index }) => index + 1);
  return ends.map((end, place) => text.slice(ends[place - 1] ?? 0, end));
}
