/** Selectors of the elements that receive the focus when the element that had it is gone, from the inside to the outside. */
const HOLDERS = 'dialog, main, [tabindex="-1"]';

/** The place of the focus, as far as it outlives the element. */
interface Place {
  readonly element: Element;
  readonly ancestors: readonly Element[];
  /** The place in a table: its body, the row, and the row's control. */
  readonly row?: { readonly body: Element; readonly index: number; readonly control: number } | undefined;
}

/**
 * Keeps the focus from falling to the page's body when the element that has it is removed, moved or disabled: a screen
 * reader would begin at the top again. A row's control is followed by that of the row in its place, everything else by
 * what it stood in.
 */
export function keepFocus(): void {
  let place: Place | undefined;
  document.addEventListener('focusin', ({ target }) => {
    if (target instanceof Element) place = placeOf(target);
  });
  // Who clicks beside everything wants no focus.
  document.addEventListener('pointerdown', () =>
    setTimeout(() => {
      if (document.activeElement === document.body) place = undefined;
    }),
  );
  new MutationObserver(() => {
    if (!place || document.activeElement !== document.body) return;
    const next = [place.element, controlInPlace(place), ...place.ancestors.filter((each) => each.matches(HOLDERS))];
    const target = [...next, document.querySelector('dialog[open]'), document.querySelector('main')].find(canHold);
    if (target instanceof HTMLElement) target.focus({ preventScroll: true });
  }).observe(document.body, { childList: true, subtree: true, attributeFilter: ['disabled'] });
}

function placeOf(element: Element): Place {
  const ancestors: Element[] = [];
  for (let each = element.parentElement; each; each = each.parentElement) ancestors.push(each);
  const row = element.closest('tbody tr');
  const body = row?.parentElement;
  if (!row || !body) return { element, ancestors };
  return {
    element,
    ancestors,
    row: { body, index: [...body.children].indexOf(row), control: controlsOf(row).indexOf(element) },
  };
}

function controlInPlace({ row }: Place): Element | undefined {
  if (!row?.body.isConnected) return undefined;
  const rows = [...row.body.children].filter((each) => !each.matches('.leaving') && controlsOf(each).length > 0);
  const beside = rows[Math.min(row.index, rows.length - 1)];
  return beside && (controlsOf(beside)[row.control] ?? controlsOf(beside)[0]);
}

function controlsOf(row: Element): Element[] {
  return [...row.querySelectorAll('a, button, select, input')];
}

function canHold(element: Element | null | undefined): boolean {
  return element?.isConnected === true && !element.matches(':disabled') && element.getClientRects().length > 0;
}
