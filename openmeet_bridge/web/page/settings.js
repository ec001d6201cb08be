/**
 * @import { Chat } from '../client/chat.js'
 * @import { Preferences } from '../client/types.js'
 */

import { ApiError } from '../client/api.js';
import { openDialog } from './dialog.js';
import { h } from './dom.js';

/** @type {Array<[keyof Preferences, string, string]>} */
const SWITCHES = [
  ['presence', 'Show when I am online', 'Who shares a room with you sees it, and when you were here last.'],
  ['receipts', 'Show what I have read', 'Off: only you know how far you have read.'],
];

/**
 * What others may see of me. Each switch is saved at once.
 *
 * @param {Chat} chat
 */
export async function openSettings(chat) {
  const note = h('p', { class: 'dialog__note', role: 'status' }, 'Loading…');
  const body = h('div', { class: 'settings' });
  const close = h('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, 'Close');
  const dialog = openDialog('Your privacy', body, note, h('div', { class: 'dialog__buttons' }, close));
  close.focus();
  try {
    const known = await chat.api.preferences();
    note.replaceChildren();
    body.append(...SWITCHES.map(([key, label, about]) => line(key, label, about, known[key],
      (on) => save(chat, known, key, on, note))));
  } catch (error) {
    note.replaceChildren(reasonOf(error, 'It could not be loaded.'));
  }
}

/**
 * @param {string} key
 * @param {string} label
 * @param {string} about
 * @param {boolean} on
 * @param {(on: boolean) => Promise<boolean>} onChange Resolves to how it is then.
 */
function line(key, label, about, on, onChange) {
  const box = h('input', {
    type: 'checkbox', class: 'switch', role: 'switch', id: `set-${key}`, checked: on,
    'aria-describedby': `about-${key}`,
    onchange: async () => { box.checked = await onChange(box.checked); },
  });
  return h('div', { class: 'settings__line' },
    h('div', { class: 'settings__text' }, h('label', { for: `set-${key}` }, label),
      h('p', { id: `about-${key}` }, about)), box);
}

/**
 * @param {Chat} chat
 * @param {Preferences} known
 * @param {keyof Preferences} key
 * @param {boolean} on
 * @param {HTMLElement} note
 */
async function save(chat, known, key, on, note) {
  try {
    await chat.api.setPreferences({ ...known, [key]: on });
    known[key] = on;
    note.replaceChildren('Saved.');
  } catch (error) {
    note.replaceChildren(reasonOf(error, 'It could not be saved.'));
  }
  return known[key];
}

/**
 * @param {unknown} error
 * @param {string} otherwise
 */
function reasonOf(error, otherwise) {
  return error instanceof ApiError ? error.message : otherwise;
}
