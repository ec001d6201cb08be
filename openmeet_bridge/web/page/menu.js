import { h } from './dom.js';
import { icon } from './icons.js';
import { openPopup } from './popup.js';

/**
 * @typedef {object} MenuItem
 * @property {Parameters<typeof icon>[0]} icon
 * @property {string} label
 * @property {string} [key] The key that does the same without the menu.
 * @property {boolean} [danger]
 * @property {() => void} act
 */

/**
 * Opens a menu; arrows move, a letter jumps, Enter chooses.
 *
 * @param {Element} anchor
 * @param {string} label
 * @param {MenuItem[]} items
 * @param {() => HTMLElement | null | undefined} [back]
 */
export function openMenu(anchor, label, items, back) {
  const buttons = items.map((item) => h('button', {
    type: 'button', role: 'menuitem', tabindex: '-1',
    class: item.danger ? 'menu__item menu__item--danger' : 'menu__item',
    'aria-keyshortcuts': item.key,
    onclick: () => {
      popup.close();
      item.act();
    },
  }, icon(item.icon), h('span', { class: 'menu__label' }, item.label),
  item.key ? h('kbd', { 'aria-hidden': 'true' }, item.key) : null));
  const popup = openPopup(anchor, { label, role: 'menu', kind: 'menu', back }, ...buttons);
  popup.element.addEventListener('keydown', (event) => move(event, buttons));
  buttons[0]?.focus();
  return popup;
}

/**
 * @param {KeyboardEvent} event
 * @param {HTMLElement[]} buttons
 */
function move(event, buttons) {
  const here = buttons.indexOf(/** @type {any} */ (document.activeElement));
  const count = buttons.length;
  const target = {
    ArrowDown: (here + 1) % count, ArrowUp: (here + count - 1) % count, Home: 0, End: count - 1,
  }[event.key] ?? byLetter(event, buttons, here);
  if (target === undefined) return;
  event.preventDefault();
  buttons[target]?.focus();
}

/**
 * @param {KeyboardEvent} event
 * @param {HTMLElement[]} buttons
 * @param {number} here
 */
function byLetter(event, buttons, here) {
  if (event.key.length !== 1 || event.ctrlKey || event.metaKey || event.key === ' ') return undefined;
  const order = buttons.map((_, index) => (here + 1 + index) % buttons.length);
  return order.find((index) => (buttons[index].textContent ?? '').toLocaleLowerCase()
    .startsWith(event.key.toLocaleLowerCase()));
}
