/** @import { Entry, Person } from '../client/types.js' */

import { oneLine } from './describe.js';
import { h, hidden } from './dom.js';
import { openPicker } from './emoji-picker.js';
import { plainName } from './format.js';
import { icon } from './icons.js';
import { MentionList } from './mention-list.js';
import { wordsOf } from './words.js';

/** The server takes no longer message, in bytes of UTF-8. */
const MOST_BYTES = 32_768;
/** From so many bytes on it says how many are left. */
const TELL_FROM = 30_000;

/** What stands around the selected words, by the key that puts it there with Ctrl. */
const MARKS = /** @type {Record<string, string>} */ ({ b: '**', i: '*', e: '`' });
const SPOILER = '||';

/** @typedef {{kind: 'reply' | 'edit', entry: Entry}} Mode */

/**
 * @typedef {object} ComposerHost
 * @property {(text: string, mode: Mode | null) => string | null} send Null, or why it cannot be.
 * @property {() => void} typing A key was pressed.
 * @property {() => void} quiet Nobody is writing any more.
 * @property {(text: string, mode: Mode | null) => void} draft
 * @property {() => void} editLast
 * @property {() => Promise<Person[]>} people Who can be mentioned.
 */

/** Where messages are written: a new one, an answer, or another form of one that is there. */
export class OmComposer extends HTMLElement {
  /**
   * @param {string} label
   * @param {ComposerHost} host
   */
  constructor(label, host) {
    super();
    this._host = host;
    /** @type {Mode | null} */
    this._mode = null;
    /** What was being written before an edit began. */
    this._before = '';
    this._area = h('textarea', {
      rows: '1', 'aria-label': label, placeholder: label, enterkeyhint: 'send',
      'aria-describedby': 'composer-hint', oninput: () => this._onInput(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this._onKey(event),
      onblur: () => this._onBlur(),
    });
    this._list = new MentionList(this._area, () => this._host.people());
    this._warning = h('p', { class: 'composer__warning', role: 'alert' });
    this._left = h('p', { class: 'composer__left' });
    this._button = h('button', { type: 'submit', class: 'composer__send' }, icon('send'));
    this._strip = h('div', { class: 'composer__mode', hidden: true });
    const smile = h('button', {
      type: 'button', class: 'icon-button composer__smile', 'aria-label': 'Insert an emoji',
      title: 'Insert an emoji', 'aria-haspopup': 'dialog', onclick: () => this._pick(smile),
    }, icon('smile'));
    this._form = h('form', {
      class: 'composer', onsubmit: (/** @type {Event} */ event) => this._onSubmit(event),
    }, this._strip, this._list.element,
    h('div', { class: 'composer__row' }, this._area, smile, this._button), hint());
  }

  connectedCallback() {
    this.replaceChildren(this._form, this._left, this._warning);
    this._showMode();
    this._grow();
  }

  disconnectedCallback() {
    this._host.quiet();
  }

  focusText() {
    this._area.focus();
  }

  get text() {
    return this._area.value;
  }

  get mode() {
    return this._mode;
  }

  /**
   * @param {string} text
   * @param {Mode | null} mode
   */
  restore(text, mode) {
    this._mode = mode;
    this._area.value = text;
    this._showMode();
    this._grow();
  }

  /** @param {Entry} entry */
  reply(entry) {
    const text = this._mode?.kind === 'edit' ? this._before : this._area.value;
    this._change({ kind: 'reply', entry }, text);
  }

  /** @param {Entry} entry */
  edit(entry) {
    if (this._mode?.kind !== 'edit') this._before = this._area.value;
    this._change({ kind: 'edit', entry }, entry.text);
  }

  cancel() {
    this._change(null, this._mode?.kind === 'edit' ? this._before : this._area.value);
  }

  /**
   * @param {Mode | null} mode
   * @param {string} text
   */
  _change(mode, text) {
    this.restore(text, mode);
    this._host.draft(text, mode);
    this._area.focus();
    this._area.setSelectionRange(text.length, text.length);
  }

  _showMode() {
    const mode = this._mode;
    this._strip.hidden = mode === null;
    this._button.setAttribute('aria-label', mode?.kind === 'edit' ? 'Save' : 'Send');
    if (!mode) return this._strip.replaceChildren();
    const who = plainName(mode.entry.sender.name);
    const title = mode.kind === 'edit' ? 'Editing your message' : `Replying to ${who}`;
    const words = oneLine(wordsOf(mode.entry));
    return this._strip.replaceChildren(
      icon(mode.kind),
      h('div', { class: 'composer__about' },
        h('p', { class: 'composer__title', role: 'status' }, title),
        h('p', { class: 'composer__quote' }, h('bdi', {}, words))),
      h('button', {
        type: 'button', class: 'icon-button', 'aria-label': mode.kind === 'edit' ? 'Cancel the edit' : 'Cancel the reply',
        title: 'Cancel (Esc)', onclick: () => this.cancel(),
      }, icon('close')));
  }

  /** @param {KeyboardEvent} event */
  _onKey(event) {
    if (event.isComposing) return;
    if (this._list.takes(event) || this._takes(event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  /**
   * @param {KeyboardEvent} event
   * @returns {boolean}
   */
  _takes(event) {
    if (event.ctrlKey || event.metaKey) return this._format(event);
    if (event.key === 'Enter' && !event.shiftKey) {
      this._onSubmit(event);
      return true;
    }
    if (event.key === 'Escape' && this._mode) {
      this.cancel();
      return true;
    }
    if (event.key === 'ArrowUp' && !this._area.value && !event.shiftKey) {
      this._host.editLast();
      return true;
    }
    return false;
  }

  /**
   * @param {KeyboardEvent} event
   * @returns {boolean}
   */
  _format(event) {
    const key = event.key.toLowerCase();
    const mark = event.shiftKey ? (key === 's' ? SPOILER : undefined) : MARKS[key];
    if (mark === undefined || event.altKey) return false;
    const { selectionStart: start, selectionEnd: end, value } = this._area;
    const chosen = value.slice(start, end);
    // Written like typed words, so that it can be undone like them.
    if (!document.execCommand('insertText', false, `${mark}${chosen}${mark}`)) return true;
    this._area.setSelectionRange(start + mark.length, end + mark.length);
    return true;
  }

  /** @param {HTMLElement} anchor */
  _pick(anchor) {
    openPicker(anchor, {
      label: 'Choose an emoji',
      onChoose: (emoji) => {
        this._area.focus();
        this._area.setRangeText(emoji, this._area.selectionStart, this._area.selectionEnd, 'end');
        this._onInput();
      },
    });
  }

  _onInput() {
    this._host.draft(this._area.value, this._mode);
    this._grow();
    void this._list.look();
    if (this._area.value.trim()) this._host.typing();
    else this._host.quiet();
  }

  _onBlur() {
    this._list.close();
    this._host.quiet();
  }

  /** @param {Event} event */
  _onSubmit(event) {
    event.preventDefault();
    const text = this._area.value.trim();
    if (!text || this._tooLong()) return;
    const refused = this._host.send(text, this._mode);
    this._warn(refused ?? '');
    if (refused) return;
    const left = this._mode?.kind === 'edit' ? this._before : '';
    this._before = '';
    this.restore(left, null);
    this._host.draft(left, null);
    this._host.quiet();
    this._area.focus();
  }

  /** As tall as the text, up to what the style sheet allows. */
  _grow() {
    this._area.style.height = 'auto';
    // Empty it is one row, however long the name in its placeholder is.
    const border = this._area.offsetHeight - this._area.clientHeight;
    if (this._area.value) this._area.style.height = `${this._area.scrollHeight + border}px`;
    const over = this._tooLong();
    this._warn(over ? `This is too long by ${over.toLocaleString()} bytes.` : '');
    this._button.disabled = over > 0 || !this._area.value.trim();
    this._tellLeft(over);
  }

  /** @param {number} over */
  _tellLeft(over) {
    const text = this._area.value;
    const used = text.length * 3 < TELL_FROM ? 0 : new TextEncoder().encode(text.trim()).length;
    const words = used > TELL_FROM && !over ? `${(MOST_BYTES - used).toLocaleString()} bytes left` : '';
    if (this._left.textContent !== words) this._left.replaceChildren(words);
  }

  /** @param {string} words */
  _warn(words) {
    if (this._warning.textContent !== words) this._warning.replaceChildren(words);
  }

  /** @returns {number} Bytes too many. */
  _tooLong() {
    const text = this._area.value.trim();
    // No letter has fewer bytes than one, nor more than three for each unit of its length.
    if (text.length * 3 <= MOST_BYTES) return 0;
    return Math.max(0, new TextEncoder().encode(text).length - MOST_BYTES);
  }
}

function hint() {
  const words = hidden('Enter sends, Shift and Enter makes a new line. At and a name mentions somebody. '
    + 'Arrow up in the empty field edits your last message. '
    + 'Control and B, I or E makes words bold, slanted or code.');
  words.id = 'composer-hint';
  return words;
}

customElements.define('om-composer', OmComposer);
