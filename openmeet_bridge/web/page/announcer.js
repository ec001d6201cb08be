import { h } from './dom.js';

/** So many of the latest announcements are kept for whoever reads them again. */
const KEEP = 5;

/** Tells a screen reader what came in: each message once, never the history. */
export class OmAnnouncer extends HTMLElement {
  constructor() {
    super();
    /** @type {Set<string>} */
    this._told = new Set();
  }

  connectedCallback() {
    this.setAttribute('role', 'log');
    this.setAttribute('aria-live', 'polite');
    this.setAttribute('aria-label', 'New messages');
    this.className = 'visually-hidden';
  }

  /**
   * @param {string} id What is never told twice.
   * @param {string} words
   */
  tell(id, words) {
    if (this._told.has(id)) return;
    this._told.add(id);
    this.say(words);
  }

  /** @param {string} words Something that may be said again. */
  say(words) {
    this.append(h('p', {}, words));
    while (this.childElementCount > KEEP) this.firstElementChild?.remove();
  }
}

customElements.define('om-announcer', OmAnnouncer);
