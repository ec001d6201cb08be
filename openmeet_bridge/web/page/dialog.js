import { h } from './dom.js';

/**
 * @param {string} title
 * @param {...(Node | string | null)} content
 * @returns {HTMLDialogElement} Open; it goes away when it is closed.
 */
export function openDialog(title, ...content) {
  const dialog = h('dialog', { class: 'dialog', 'aria-label': title },
    h('h2', { class: 'dialog__title' }, title), ...content);
  // The page behind it must not hear keys that are meant for it.
  dialog.addEventListener('keydown', (event) => event.stopPropagation());
  dialog.addEventListener('close', () => dialog.remove());
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.querySelector('om-app')?.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Asks before something that cannot be taken back.
 *
 * @param {{title: string, words: string, field: string | null, confirm: string}} question
 * @returns {Promise<string | null>} What was entered; null: no.
 */
export function ask({ title, words, field, confirm }) {
  return new Promise((resolve) => {
    const input = field ? h('input', { class: 'field__input', maxlength: 500, autocomplete: 'off' }) : null;
    /** @type {string | null} */
    let answer = null;
    const form = h('form', {
      method: 'dialog', class: 'dialog__form',
      onsubmit: () => { answer = input?.value.trim() ?? ''; },
    },
    h('p', { class: 'dialog__quote', dir: 'auto' }, words),
    input && field ? h('label', { class: 'field' }, h('span', {}, field), input) : null,
    h('div', { class: 'dialog__buttons' },
      h('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, 'Cancel'),
      h('button', { type: 'submit', class: 'button button--danger' }, confirm)));
    const dialog = openDialog(title, form);
    dialog.addEventListener('close', () => resolve(answer));
    (input ?? /** @type {HTMLElement} */ (form.querySelector('[type=submit]'))).focus();
  });
}
