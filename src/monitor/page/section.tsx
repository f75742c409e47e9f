import type { ComponentChildren } from 'preact';

/** A section of the page, with its heading and what belongs beside it. */
export function Section(props: {
  name: string;
  title: string;
  beside?: ComponentChildren;
  children: ComponentChildren;
}) {
  const { name, title, beside, children } = props;
  return (
    <section class={`card ${name}`} aria-labelledby={`${name}-title`}>
      <div class="bar">
        <h2 id={`${name}-title`}>{title}</h2>
        {beside}
      </div>
      {children}
    </section>
  );
}

/** A table that scrolls in itself where it is wider than its section. */
export function ScrollingTable({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <Scrolling label={`Tabelle: ${label}`}>
      <table>{children}</table>
    </Scrolling>
  );
}

/** Something that scrolls in itself: the keyboard can scroll it, too (WCAG 2.2, 2.1.1). */
export function Scrolling({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: it is no part of a form
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
    <div class="scrolling" role="group" tabIndex={0} aria-label={label}>
      {children}
    </div>
  );
}
