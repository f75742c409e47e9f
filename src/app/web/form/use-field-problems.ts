import { nextTick, type Ref, reactive, watch } from 'vue';
import { fieldsIn } from '../api/messages.js';
import { ApiError } from '../api/request.js';
import { formatDay, formatMoment, formatNumber } from '../format.js';

type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

/**
 * Finds the problems of a form's fields, in German: text by the name of the control. The form is `novalidate`, else the browser
 * would say it first, in its own language. The rules are the controls' own: `required`, `min`, `type` and so on.
 * @param form the element.
 * @param refusal what the server did not take: its fields are marked, too.
 */
export function useFieldProblems(form: Ref<HTMLFormElement | null>, refusal: Ref<Error | undefined>) {
  const problems = reactive(new Map<string, string>());

  function look(control: Control): boolean {
    const text = problemOf(control);
    if (text) problems.set(control.name, text);
    else problems.delete(control.name);
    return text === '';
  }
  const controls = () =>
    [...(form.value?.elements ?? [])].filter((each): each is Control => 'name' in each && each.name !== '');
  const focusFirst = () =>
    nextTick(() =>
      controls()
        .find(({ name }) => problems.has(name))
        ?.focus(),
    );

  watch(refusal, (error) => {
    if (!(error instanceof ApiError) || (error.status !== 400 && error.status !== 409)) return;
    for (const name of fieldsIn(error.detail)) problems.set(name, 'Das passt nicht zu den anderen Angaben.');
    void focusFirst();
  });

  return {
    problems,
    /** Tells whether all fields are right. Else the first that is not gets the focus. */
    check(): boolean {
      const right = controls()
        .map(look)
        .every((each) => each);
      if (!right) void focusFirst();
      return right;
    },
    /** While somebody types: what is right now is no longer called wrong. Mount as the form's `input`. */
    onInput({ target }: Event): void {
      const control = target as Control;
      if (problems.has(control.name)) look(control);
    },
    /** Shows the problem of a field when the focus leaves it, unless it is still empty. Mount as the form's `focusout`. */
    onLeave({ target }: Event): void {
      const control = target as Control;
      if (control.name && (control.value !== '' || control.validity?.badInput)) look(control);
    },
  };
}

function problemOf(control: Control): string {
  const { validity } = control;
  if (!validity || validity.valid) return '';
  if (validity.badInput)
    return control.type === 'number' ? 'Bitte eine Zahl angeben.' : 'Bitte ein vollständiges Datum angeben.';
  if (validity.valueMissing || validity.patternMismatch) return 'Bitte ausfüllen.';
  if (validity.typeMismatch) return 'Bitte eine E-Mail-Adresse wie ada@example.org angeben.';
  if (validity.tooLong) return `Höchstens ${formatNumber((control as HTMLInputElement).maxLength)} Zeichen.`;
  if (validity.stepMismatch)
    return control.getAttribute('step') ? 'Höchstens zwei Stellen nach dem Komma.' : 'Bitte eine ganze Zahl angeben.';
  const { min = '', max = '', type } = control as HTMLInputElement;
  const show =
    type === 'date'
      ? formatDay
      : type === 'datetime-local'
        ? formatMoment
        : (text: string) => formatNumber(Number(text));
  if (validity.rangeUnderflow) return type === 'number' ? `Mindestens ${show(min)}.` : `Nicht vor dem ${show(min)}.`;
  if (validity.rangeOverflow) return type === 'number' ? `Höchstens ${show(max)}.` : `Nicht nach dem ${show(max)}.`;
  return 'Diese Angabe stimmt nicht.';
}
