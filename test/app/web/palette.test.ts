import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';

const TEXTS = ['text', 'soft', 'accent', 'danger', 'good', 'warn'];
const BACKGROUNDS = ['page', 'card', 'mark'];

/** Relative luminance, by WCAG 2.2. */
function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one: string, other: string): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

test.each(['light', 'dark'])('every text reaches 4.5:1 on every background: %s', async (scheme) => {
  const css = await readFile('src/app/web/style.css', 'utf8');
  const [light = '', dark = ''] = [...css.matchAll(/:root \{([^}]*)\}/g)].map(([, block = '']) => block);
  const colours = Object.fromEntries(
    [...(scheme === 'light' ? light : dark).matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, hex]) => [
      name,
      hex,
    ]),
  );
  const pairs = [
    ...TEXTS.flatMap((text) => BACKGROUNDS.map((background) => [text, background] as const)),
    ['on-accent', 'accent'] as const,
  ];
  const poor = pairs
    .map(([text, background]) => ({
      pair: `${text} on ${background}`,
      ratio: contrast(colours[text] ?? '', colours[background] ?? ''),
    }))
    .filter(({ ratio }) => !(ratio >= 4.5));
  expect(poor).toEqual([]);
});
