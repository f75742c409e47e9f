import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/package-root.js';

/** The pages whose code blocks are run: paths from the root. */
export const pages: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(packageRoot, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** A fenced code block. */
export interface CodeBlock {
  readonly page: string;
  /** The line of its first line of code, from 1. */
  readonly line: number;
  readonly language: string;
  /** Whether its info string says that it cannot run by itself. */
  readonly fragment: boolean;
  /** With a line break at its end. */
  readonly code: string;
}

/** The text of a page. */
export function textOf(page: string): string {
  return readFileSync(join(packageRoot, page), 'utf8');
}

const FENCE = /^( *)```(.*)\n([\s\S]*?)^\1```$/gm;

/** The fenced blocks of a page, in their order. */
export function blocksOf(page: string): CodeBlock[] {
  const text = textOf(page);
  return Array.from(text.matchAll(FENCE), ({ index, 1: indent = '', 2: info = '', 3: code = '' }) => {
    const [language = '', ...words] = info.trim().split(/\s+/);
    return {
      page,
      line: text.slice(0, index).split('\n').length + 1,
      language,
      fragment: words.includes('fragment'),
      code: code.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
    };
  });
}

/** The lines of code that are indented instead of fenced, as `page:line`. */
export function indentedBlocksOf(page: string): string[] {
  const blanked = textOf(page).replaceAll(FENCE, (block) => block.replaceAll(/.+/g, '.'));
  return blanked
    .split('\n')
    .flatMap((line, at, lines) => (/^( {4}|\t)/.test(line) && lines[at - 1] === '' ? [`${page}:${at + 1}`] : []));
}
