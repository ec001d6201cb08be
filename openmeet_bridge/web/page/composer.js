import { h, hidden } from './dom.js';
import { icon } from './icons.js';

/** The server takes no longer message, in bytes of UTF-8. */
const MOST_BYTES = 32_768;
/** While somebody types the server is told so this often (ms). */
const TYPING_EVERY = 4000;
/** Without a key for so long (ms) nobody is typing any more. */
const TYPING_FOR = 6000;

/** Where messages are written. */
export class OmComposer extends HTMLElement {
  constructor() {
    super();
    this.label = 'Message';
    this.draft = '';
    /** @type {(body: string) => void} */
    this.onSend = () => {};
    /** @type {(typing: boolean) => void} */
    this.onTyping = () => {};
    /** @type {(draft: string) => void} */
    this.onDraft = () => {};
    this._typingSince = 0;
  }

  connectedCallback() {
    this._area = h('textarea', {
      rows: '1', 'aria-label': this.label, placeholder: this.label, enterkeyhint: 'send',
      'aria-describedby': 'composer-hint', oninput: () => this._onInput(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this._onKey(event),
    });
    this._area.value = this.draft;
    this._warning = h('p', { class: 'composer__warning', role: 'alert' });
    this._button = h('button', { type: 'submit', class: 'composer__send', 'aria-label': 'Send' },
      icon('send'));
    const hint = hidden('Enter sends, Shift and Enter makes a new line.');
    hint.id = 'composer-hint';
    this.replaceChildren(h('form', {
      class: 'composer', onsubmit: (/** @type {Event} */ event) => this._onSubmit(event),
    }, this._area, this._button, hint), this._warning);
    this._grow();
  }

  disconnectedCallback() {
    this._stopTyping();
  }

  focusText() {
    this._area?.focus();
  }

  /** @param {KeyboardEvent} event */
  _onKey(event) {
    // Enter that ends the input of a Japanese word is not one that sends.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    this._onSubmit(event);
  }

  _onInput() {
    const text = this._area?.value ?? '';
    this.onDraft(text);
    this._grow();
    if (!text.trim()) return this._stopTyping();
    clearTimeout(this._quiet);
    this._quiet = setTimeout(() => this._stopTyping(), TYPING_FOR);
    if (Date.now() - this._typingSince < TYPING_EVERY) return undefined;
    this._typingSince = Date.now();
    return this.onTyping(true);
  }

  _stopTyping() {
    clearTimeout(this._quiet);
    if (this._typingSince) this.onTyping(false);
    this._typingSince = 0;
  }

  /** @param {Event} event */
  _onSubmit(event) {
    event.preventDefault();
    const text = this._area?.value.trim() ?? '';
    if (!this._area || !text || this._tooLong()) return;
    this._area.value = '';
    this.onDraft('');
    this._stopTyping();
    this._grow();
    this.onSend(text);
    this._area.focus();
  }

  /** As tall as the text, up to what the style sheet allows. */
  _grow() {
    if (!this._area || !this._button) return;
    this._area.style.height = 'auto';
    // Empty it is one row, however long the name in its placeholder is.
    const border = this._area.offsetHeight - this._area.clientHeight;
    if (this._area.value) this._area.style.height = `${this._area.scrollHeight + border}px`;
    const over = this._tooLong();
    const words = over ? `This is too long by ${over.toLocaleString()} bytes.` : '';
    if (this._warning?.textContent !== words) this._warning?.replaceChildren(words);
    this._button.disabled = over > 0 || !this._area.value.trim();
  }

  /** @returns {number} Bytes too many. */
  _tooLong() {
    const text = this._area?.value.trim() ?? '';
    // No letter has fewer bytes than one, nor more than three for each unit of its length.
    if (text.length * 3 <= MOST_BYTES) return 0;
    return Math.max(0, new TextEncoder().encode(text).length - MOST_BYTES);
  }
}

customElements.define('om-composer', OmComposer);
