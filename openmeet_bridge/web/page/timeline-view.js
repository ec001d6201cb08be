/**
 * @import { Chat } from '../client/chat.js'
 * @import { Timeline } from '../client/timeline.js'
 * @import { Row } from './rows.js'
 */

import { h, reconcile } from './dom.js';
import { icon } from './icons.js';
import { makeRow } from './message-row.js';
import { buildRows } from './rows.js';

/** Closer to the end (px) than this counts as being there. */
const NEAR_END = 48;
/** Closer to the beginning (px) than this asks for older messages. */
const NEAR_START = 240;

/** The messages of one room; keeps its place while things come in above and below. */
export class OmTimeline extends HTMLElement {
  constructor() {
    super();
    /** @type {Chat | null} */
    this.chat = null;
    this.roomId = '';
    this.label = '';
    /** @type {string | null} */
    this.unreadAfter = null;
    /** True while the newest message is in view and should stay so. */
    this.atEnd = true;
    /** @type {() => void} */
    this.onSettled = () => {};
    this._unfolded = new Set();
    this._started = false;
    this._failed = false;
    this._busy = false;
  }

  connectedCallback() {
    this._older = h('button', {
      type: 'button', class: 'button timeline__older', onclick: () => this._loadOlder(),
    }, 'Load older messages');
    this._list = h('ol', { class: 'timeline__list' });
    this._empty = h('p', { class: 'timeline__empty' });
    this._scroller = h('div', {
      class: 'timeline__scroller', tabindex: '0', role: 'region', 'aria-label': this.label,
      onscroll: () => this._onScroll(),
    }, this._older, this._empty, this._list);
    this._count = h('span', {});
    this._pill = h('button', {
      type: 'button', class: 'timeline__pill', onclick: () => this.toEnd(true),
    }, icon('down'), this._count);
    this.replaceChildren(this._scroller, this._pill);
    this._sizes = new ResizeObserver(() => this._onSize());
    this._sizes.observe(this._scroller);
    this._sizes.observe(this._list);
    this.render();
  }

  disconnectedCallback() {
    this._sizes?.disconnect();
  }

  /** @returns {Timeline | undefined} */
  get _model() {
    return this.chat?.timeline(this.roomId);
  }

  render() {
    const model = this._model;
    if (!this.chat || !this._list || !this._scroller || !this._empty) return;
    const place = this._place();
    const { store } = this.chat;
    const rows = buildRows(model?.items() ?? [], {
      me: store.me,
      name: (mxid) => store.person(mxid)?.name ?? localpart(mxid),
      now: Date.now(),
      unreadAfter: this.unreadAfter,
      receipts: model?.receipts.values() ?? [],
    });
    reconcile(this._list, rows, (row) => makeRow(row, {
      retry: (txnId) => this.chat?.retry(this.roomId, txnId),
      discard: (txnId) => this.chat?.discard(this.roomId, txnId),
      unfolded: this._unfolded,
      changed: () => this.render(),
    }));
    this._showEdges(model, rows);
    if (model?.loaded && !this._started) this._begin();
    else this._restore(place);
    this._showPill();
    this.onSettled();
  }

  /**
   * @param {Timeline | undefined} model
   * @param {Row[]} rows
   */
  _showEdges(model, rows) {
    if (!this._empty) return;
    const silent = rows.every((row) => row.kind !== 'message') && !model?.hasBefore;
    this._empty.hidden = !silent;
    this._empty.textContent = model?.loaded ? 'No messages yet.' : 'Loading messages…';
    this._showOlder(model);
  }

  /** @param {Timeline | undefined} model */
  _showOlder(model) {
    if (!this._older) return;
    this._older.hidden = !model?.loaded || !model.hasBefore;
    this._older.textContent = this._failed ? 'Older messages could not be loaded. Try again'
      : this._busy ? 'Loading older messages…' : 'Load older messages';
  }

  /** The first look: at what is new when there is something new, else at the end. */
  _begin() {
    this._started = true;
    const line = this._list?.querySelector('.unread-line');
    this.toEnd(false);
    if (!(line instanceof HTMLElement) || !this._scroller) return;
    const above = line.offsetTop - this._scroller.clientHeight / 4;
    if (above < this._scroller.scrollTop) this._scroller.scrollTop = above;
    this._measure();
  }

  /** @param {boolean} smooth */
  toEnd(smooth) {
    if (!this._scroller) return;
    const { scrollHeight: top, scrollTop, clientHeight } = this._scroller;
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    // A long way takes long to slide, and whatever comes in meanwhile would stop it half-way.
    const near = top - scrollTop < clientHeight * 3;
    this._scroller.scrollTo({ top, behavior: smooth && near && !calm ? 'smooth' : 'instant' });
    this.atEnd = true;
  }

  /** @returns {{element: HTMLElement, top: number} | null} The first row in view, and where. */
  _place() {
    if (!this._scroller || !this._list || this.atEnd) return null;
    const edge = this._scroller.getBoundingClientRect().top;
    for (const element of this._list.children) {
      const box = element.getBoundingClientRect();
      if (box.bottom > edge && element.classList.contains('message')) {
        return { element: /** @type {HTMLElement} */ (element), top: box.top };
      }
    }
    return null;
  }

  /** @param {{element: HTMLElement, top: number} | null} place */
  _restore(place) {
    if (this.atEnd) this.toEnd(false);
    if (!place || !this._scroller) return;
    // The row may have been made anew meanwhile.
    const key = CSS.escape(place.element.dataset.key ?? '');
    const element = this._list?.querySelector(`[data-key="${key}"]`);
    if (element) this._scroller.scrollTop += element.getBoundingClientRect().top - place.top;
  }

  _onSize() {
    if (this.atEnd) this.toEnd(false);
  }

  _onScroll() {
    this._measure();
    this._showPill();
    const top = this._scroller?.scrollTop ?? 0;
    if (this._started && top < NEAR_START && !this._failed) void this._loadOlder();
    this.onSettled();
  }

  _measure() {
    if (!this._scroller) return;
    const { scrollHeight, scrollTop, clientHeight } = this._scroller;
    this.atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
  }

  _showPill() {
    if (!this._pill || !this._count) return;
    const unread = this.chat?.store.room(this.roomId)?.unread_count ?? 0;
    this._pill.hidden = this.atEnd;
    this._count.textContent = unread ? `${unread > 99 ? '99+' : unread} new` : 'Newest';
    this._pill.classList.toggle('timeline__pill--new', unread > 0);
  }

  async _loadOlder() {
    if (this._busy || !this._model?.hasBefore) return;
    this._busy = true;
    this._failed = false;
    this._showOlder(this._model);
    try {
      await this.chat?.loadOlder(this.roomId);
    } catch {
      this._failed = true;
    } finally {
      this._busy = false;
      this._showOlder(this._model);
    }
  }
}

/** @param {string} mxid */
function localpart(mxid) {
  return mxid.replace(/^@/u, '').split(':')[0];
}

customElements.define('om-timeline', OmTimeline);
