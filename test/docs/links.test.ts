import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../src/package-root.js';
import { pages, textOf } from './pages.js';

/** A heading's anchor, as GitHub makes it. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

/** The anchors of a page's headings. */
const anchorsOf = (page: string) => Array.from(textOf(page).matchAll(/^#+ (.+)$/gm), ([, text = '']) => anchorOf(text));

test.each(pages)('every link of %s leads to a file, and to a heading', (page) => {
  const broken = Array.from(textOf(page).matchAll(/\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"/g), ([, link, source]) => {
    const [path = '', anchor] = (link ?? source ?? '').split('#');
    if (/^[a-z]+:/.test(path)) return [];
    const target = path === '' ? page : join(dirname(page), path);
    if (!existsSync(join(packageRoot, target))) return [`${target} is missing`];
    return anchor && target.endsWith('.md') && !anchorsOf(target).includes(anchor)
      ? [`${target}#${anchor} is missing`]
      : [];
  });
  expect(broken.flat()).toEqual([]);
});
