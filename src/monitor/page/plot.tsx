import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { clockText } from './format.js';
import type { PlotData } from './history-model.js';

const HEIGHT = 200;
const LINES = 8;

/** Options of a plot. */
interface PlotProps {
  readonly label: string;
  readonly data: PlotData;
  /** Writes a value, for the legend. */
  readonly text: (value: number) => string;
  /** True for a logarithmic axis. */
  readonly isLogarithmic?: boolean;
}

/** A plot over the last hour, and a legend with the newest values, or those under the pointer. */
export function Plot({ label, data, text, isLogarithmic = false }: PlotProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const colours = useRef(new Map<string, number>());
  const names = data.lines.map((line) => line.label);
  for (const name of names) if (!colours.current.has(name)) colours.current.set(name, colours.current.size % LINES);
  const [pointed, setPointed] = useState<number | null>();
  const scheme = useScheme();
  const shape = JSON.stringify([names, scheme]);

  // `shape` is what of the data the plot is made of; new values are set below.
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const style = getComputedStyle(element);
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false } },
        scales: { x: { time: true }, y: isLogarithmic ? { distr: 3 } : { range: fromZero } },
        axes: axesOf(style, isLogarithmic),
        hooks: { setCursor: [({ cursor }) => setPointed(cursor.idx)] },
        series: [
          {},
          ...names.map((name) => ({
            label: name,
            width: 1.5,
            points: { show: false },
            spanGaps: true,
            stroke: style.getPropertyValue(`--line-${colours.current.get(name) ?? 0}`),
          })),
        ],
      },
      alignedData(data, isLogarithmic),
      element,
    );
    plot.current = made;
    const sizes = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    sizes.observe(element);
    return () => {
      sizes.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [shape, isLogarithmic]);

  useEffect(() => plot.current?.setData(alignedData(data, isLogarithmic)), [data, isLogarithmic]);

  return (
    <figure class="plot">
      <figcaption>
        {label}
        {typeof pointed === 'number' && ` um ${clockText(1000 * (data.times[pointed] ?? 0))}`}
      </figcaption>
      <div ref={box} class="canvas" aria-hidden="true" />
      <ul class="legend">
        {data.lines.map((line) => (
          <li key={line.label}>
            <span class={`dot line-${colours.current.get(line.label) ?? 0}`} aria-hidden="true" />
            {line.label}: <b>{valueText(line.values, pointed, text)}</b>
          </li>
        ))}
        {data.lines.length === 0 && <li class="soft">In der letzten Stunde hat sich nichts geändert.</li>}
      </ul>
    </figure>
  );
}

/** Returns which colours the page is drawn in, and draws anew when that changes: a canvas knows no style sheet. */
function useScheme(): string {
  const query = matchMedia('(prefers-color-scheme: dark)');
  return query.matches ? 'dark' : 'light';
}

function alignedData({ times, lines }: PlotData, isLogarithmic: boolean): uPlot.AlignedData {
  // A logarithm has no zero.
  const valuesOf = (values: (number | null)[]) =>
    isLogarithmic ? values.map((value) => (value === null ? null : Math.max(value, 0.1))) : values;
  return [times, ...lines.map(({ values }) => valuesOf(values))];
}

function fromZero(_plot: uPlot, _least: number | null, most: number | null): [number, number] {
  return [0, Math.max(most ?? 0, 1) * 1.1];
}

function axesOf(style: CSSStyleDeclaration, isLogarithmic: boolean): uPlot.Axis[] {
  const stroke = style.getPropertyValue('--soft');
  const grid = { stroke: style.getPropertyValue('--grid'), width: 1 };
  const number = new Intl.NumberFormat('de-DE', { maximumFractionDigits: 2, notation: 'compact' });
  return [
    {
      stroke,
      grid,
      ticks: grid,
      values: (_plot, moments) =>
        moments.map((at) => new Date(1000 * at).toLocaleTimeString('de-DE', { hour: '2-digit', minute: '2-digit' })),
    },
    {
      stroke,
      grid,
      ticks: grid,
      size: 56,
      // Of a logarithm the powers of ten alone
      ...(isLogarithmic && { splits: powersOfTen }),
      values: (_plot, values) => values.map((value) => (value === null ? '' : number.format(value))),
    },
  ];
}

function powersOfTen(_plot: uPlot, _axis: number, least: number, most: number): number[] {
  return [0.1, 1, 10, 100, 1000, 10_000, 100_000].filter((power) => power >= least && power <= most);
}

/** Writes the value at a place, or the newest. */
function valueText(
  values: readonly (number | null)[],
  place: number | null | undefined,
  text: (value: number) => string,
): string {
  const value = typeof place === 'number' ? values[place] : values.findLast((each) => each !== null);
  return value === undefined || value === null ? '–' : text(value);
}
