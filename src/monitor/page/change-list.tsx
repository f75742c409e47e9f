import { useEffect, useRef, useState } from 'preact/hooks';
import type { ListedChange } from './change-buffer.js';
import { clockText, fractionText, msText } from './format.js';

/** The height of a row, in px: as in styles/changes.css. */
const ROW = 28;
/** Rows that are drawn above and below those in sight. */
const MORE = 6;

interface ListProps {
  readonly changes: readonly ListedChange[];
  readonly chosen: ListedChange | undefined;
  readonly onChoose: (change: ListedChange) => void;
}

/**
 * The list of changes, the newest first. It draws the rows in sight, whatever their number. Scrolled down, it keeps the
 * rows in their place while newer ones come.
 */
export function ChangeList({ changes, chosen, onChoose }: ListProps) {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 400 });
  const first = useRef<number | undefined>(undefined);

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const take = () => setView({ top: element.scrollTop, height: element.clientHeight });
    const sizes = new ResizeObserver(take);
    sizes.observe(element);
    element.addEventListener('scroll', take, { passive: true });
    return () => {
      sizes.disconnect();
      element.removeEventListener('scroll', take);
    };
  }, []);

  const newest = changes[0]?.number;
  useEffect(() => {
    const element = box.current;
    const before = first.current;
    first.current = newest;
    if (!element || before === undefined || element.scrollTop < ROW) return;
    const added = changes.findIndex(({ number }) => number <= before);
    if (added > 0) element.scrollTop += added * ROW;
  }, [newest]);

  const from = Math.max(Math.floor(view.top / ROW) - MORE, 0);
  const to = Math.min(Math.ceil((view.top + view.height) / ROW) + MORE, changes.length);
  const chosenPlace = chosen ? changes.findIndex(({ number }) => number === chosen.number) : -1;

  const moveBy = (event: KeyboardEvent) => {
    const page = Math.max(Math.floor(view.height / ROW) - 1, 1);
    const steps: Readonly<Record<string, number>> = {
      ArrowDown: chosenPlace + 1,
      ArrowUp: chosenPlace - 1,
      PageDown: chosenPlace + page,
      PageUp: chosenPlace - page,
      Home: 0,
      End: changes.length - 1,
    };
    const wanted = steps[event.key];
    if (wanted === undefined || changes.length === 0) return;
    event.preventDefault();
    const place = Math.min(Math.max(wanted, 0), changes.length - 1);
    const change = changes[place];
    if (change) onChoose(change);
    const element = box.current;
    if (!element) return;
    if (place * ROW < element.scrollTop) element.scrollTop = place * ROW;
    else if ((place + 1) * ROW > element.scrollTop + element.clientHeight)
      element.scrollTop = (place + 1) * ROW - element.clientHeight;
  };

  return (
    <div
      ref={box}
      class="list"
      role="listbox"
      tabIndex={0}
      aria-label="Änderungen, die neueste zuerst"
      aria-activedescendant={chosenPlace >= from && chosenPlace < to ? `change-${chosen?.number}` : undefined}
      onKeyDown={moveBy}
    >
      {changes.length === 0 && <p class="soft empty">Noch keine Änderung.</p>}
      <div class="space" style={{ height: `${changes.length * ROW}px` }}>
        {changes.slice(from, to).map((change, place) => (
          <Row
            key={change.number}
            change={change}
            top={(from + place) * ROW}
            isChosen={change.number === chosen?.number}
            onChoose={onChoose}
          />
        ))}
      </div>
    </div>
  );
}

interface RowProps {
  readonly change: ListedChange;
  readonly top: number;
  readonly isChosen: boolean;
  readonly onChoose: (change: ListedChange) => void;
}

function Row({ change, top, isChosen, onChoose }: RowProps) {
  const { number, at, resource, operation, keys, count, actor, application, lagMs, streams, behind } = change;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the list takes the keys, as a listbox does
    <div
      id={`change-${number}`}
      class={isChosen ? 'row chosen' : 'row'}
      role="option"
      tabIndex={-1}
      aria-selected={isChosen}
      style={{ transform: `translateY(${top}px)` }}
      onClick={() => onChoose(change)}
    >
      <span class="time">
        {clockText(at)}
        <span class="fraction">{fractionText(at)}</span>
      </span>
      <span class="resource">{resource}</span>
      <span class={`operation ${operation ?? ''}`}>{count ? `${count} ×` : (operation ?? 'geändert')}</span>
      <span class="keys">{keys ?? ''}</span>
      <span class="who">{actor ?? application ?? ''}</span>
      <span class="lag">{msText(lagMs)}</span>
      <span class={behind > 0 ? 'sent warn' : 'sent'}>{streams}</span>
    </div>
  );
}
