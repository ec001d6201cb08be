import { h } from './dom.js';
import { dayKey } from './format.js';
import { openPopup } from './popup.js';

/**
 * @param {HTMLElement} anchor
 * @param {(time: number) => void} onChoose The beginning of the day, in milliseconds.
 */
export function askDate(anchor, onChoose) {
  const [year, month, day] = dayKey(Date.now()).split('-');
  const today = `${year}-${month.padStart(2, '0')}-${day.padStart(2, '0')}`;
  const input = h('input', { type: 'date', class: 'field__input', max: today, value: today, required: true });
  const form = h('form', {
    class: 'popup__form',
    onsubmit: (/** @type {Event} */ event) => {
      event.preventDefault();
      // Without a zone it is read as the beginning of the day here.
      const time = new Date(`${input.value}T00:00`).getTime();
      popup.close();
      if (Number.isFinite(time)) onChoose(time);
    },
  },
  h('label', { class: 'field' }, h('span', {}, 'Go to the messages of'), input),
  h('button', { type: 'submit', class: 'button button--main' }, 'Go'));
  const popup = openPopup(anchor, { label: 'Go to a date', kind: 'date', back: () => anchor }, form);
  input.focus();
}
