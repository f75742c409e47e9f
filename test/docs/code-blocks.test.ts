import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { packageRoot } from '../../src/package-root.js';
import { createPageDatabase } from './page-database.js';
import { blocksOf, type CodeBlock, indentedBlocksOf, pages, textOf } from './pages.js';
import { typeErrorsOf } from './type-check.js';

/** Languages whose blocks are run, unless they carry the word `fragment`. */
const RUN = ['ts', 'js', 'sql', 'sh'];
/** Those that show what is printed or written elsewhere. */
const SHOWN = ['text', 'json', 'yaml', 'ini'];
/** A line of a script that a test may run: the command line of this package. */
const OWN_COMMAND = /^(npx )?pg-change-feed |^#|^$/;

const placeOf = ({ page, line }: CodeBlock) => `${page}:${line}`;
const run = pages.flatMap(blocksOf).filter(({ fragment, language }) => RUN.includes(language) && !fragment);

describe.each(pages)('%s', (page) => {
  test('fences every block and names its language', () => {
    expect(indentedBlocksOf(page)).toEqual([]);
    const unknown = blocksOf(page).filter(({ language }) => ![...RUN, ...SHOWN].includes(language));
    expect(unknown.map(placeOf)).toEqual([]);
  });

  const ran = run.filter((block) => block.page === page && ['sql', 'sh'].includes(block.language));
  if (ran.length === 0) return;

  test('has statements and commands that run, in their order', async () => {
    const others = ran.filter(
      ({ language, code }) => language === 'sh' && !code.split('\n').every((line) => OWN_COMMAND.test(line)),
    );
    expect(others.map((block) => `${placeOf(block)} runs other commands: mark it as a fragment`)).toEqual([]);
    const database = await createPageDatabase();
    try {
      for (const block of ran) {
        try {
          await (block.language === 'sql' ? database.sql(block.code) : database.sh(block.code));
        } catch (error) {
          throw new Error(`${placeOf(block)} does not run`, { cause: error });
        }
      }
    } finally {
      await database.drop();
    }
  });
});

test('blocks of ts and js have the types of the package', () => {
  expect(typeErrorsOf(run)).toEqual([]);
});

test('blocks of json can be read', () => {
  for (const { language, code } of pages.flatMap(blocksOf)) if (language === 'json') JSON.parse(code);
});

test('the example of a Koa application is the file itself, byte for byte', () => {
  const example = readFileSync(join(packageRoot, 'examples/koa-app/app.js'), 'utf8');
  for (const page of pages.filter((name) => textOf(name).includes('examples/koa-app/app.js'))) {
    expect(blocksOf(page).map(({ code }) => code)).toContain(example);
  }
});

test('the lines with sessions of Express are lines of the example of an Express application, which is run', () => {
  const lines = readFileSync(join(packageRoot, 'examples/express-app/app.js'), 'utf8').split('\n');
  const [block] = blocksOf('docs/server.md').filter(({ code }) => code.includes('express-session'));
  expect(block?.code.split('\n').filter((line) => !lines.includes(line))).toEqual([]);
});
