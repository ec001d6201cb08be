import { h } from './dom.js';
import { openPopup } from './popup.js';

/** What people react with, and what a screen reader calls it. */
const EMOJI = /** @type {Array<[string, string]>} */ ([
  ['👍', 'thumbs up'], ['❤️', 'heart'], ['😂', 'tears of joy'], ['🎉', 'party'],
  ['😮', 'surprised'], ['😢', 'crying'], ['🙏', 'thank you'], ['👀', 'eyes'],
  ['👎', 'thumbs down'], ['👏', 'clapping'], ['🔥', 'fire'], ['✅', 'done'],
  ['❌', 'no'], ['🤔', 'thinking'], ['🙂', 'smile'], ['😀', 'grin'],
  ['😉', 'wink'], ['😊', 'happy'], ['😍', 'in love'], ['😎', 'cool'],
  ['😅', 'relieved'], ['😇', 'angel'], ['🤗', 'hug'], ['🙃', 'upside down'],
  ['😴', 'sleeping'], ['😡', 'angry'], ['😱', 'scared'], ['🥳', 'celebrating'],
  ['💪', 'strong'], ['🤝', 'handshake'], ['👋', 'waving'], ['✋', 'hand up'],
  ['💯', 'hundred'], ['⭐', 'star'], ['💡', 'idea'], ['☕', 'coffee'],
  ['🍕', 'pizza'], ['🎂', 'cake'], ['🌧️', 'rain'], ['☀️', 'sun'],
]);

/** In a row of the grid. */
const COLUMNS = 8;

/** A reaction may be this long (code units); the server takes no longer one. */
const LONGEST = 64;

/**
 * @param {Element} anchor
 * @param {object} options
 * @param {string} options.label
 * @param {(emoji: string) => void} options.onChoose
 * @param {boolean} [options.typed] Also offers a field for any other one.
 * @param {Iterable<string>} [options.chosen] What is there already.
 * @param {() => HTMLElement | null | undefined} [options.back]
 */
export function openPicker(anchor, { label, onChoose, typed = false, chosen = [], back }) {
  const mine = new Set(chosen);
  /** @param {string} emoji */
  const choose = (emoji) => {
    popup.close();
    onChoose(emoji);
  };
  const buttons = EMOJI.map(([emoji, name], index) => h('button', {
    type: 'button', class: 'picker__emoji', 'aria-label': name, title: name,
    tabindex: index === 0 ? '0' : '-1', 'aria-pressed': mine.has(emoji) ? 'true' : null,
    onclick: () => choose(emoji),
  }, emoji));
  const grid = h('div', { class: 'picker__grid', role: 'group', 'aria-label': 'Emoji' }, ...buttons);
  grid.addEventListener('keydown', (event) => move(event, buttons));
  const popup = openPopup(anchor, { label, kind: 'picker', back }, grid,
    ...(typed ? [field(choose)] : []));
  popup.place();
  buttons[0].focus();
  return popup;
}

/** @param {(emoji: string) => void} choose */
function field(choose) {
  const input = h('input', {
    class: 'picker__input', 'aria-label': 'Another emoji or a short word', maxlength: LONGEST,
    placeholder: 'Another emoji or a word', autocomplete: 'off',
  });
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (text) choose(text);
  };
  return h('form', { class: 'picker__form', onsubmit: submit }, input,
    h('button', { type: 'submit', class: 'button' }, 'Add'));
}

/**
 * @param {KeyboardEvent} event
 * @param {HTMLElement[]} buttons
 */
function move(event, buttons) {
  const here = buttons.indexOf(/** @type {any} */ (document.activeElement));
  const target = {
    ArrowRight: here + 1, ArrowLeft: here - 1, ArrowDown: here + COLUMNS, ArrowUp: here - COLUMNS,
    Home: 0, End: buttons.length - 1,
  }[event.key];
  if (here < 0 || target === undefined) return;
  event.preventDefault();
  const next = buttons[target];
  if (!next) return;
  buttons[here].tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}
