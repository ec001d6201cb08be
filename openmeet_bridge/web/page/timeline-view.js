/**
 * @import { Chat } from '../client/chat.js'
 * @import { Timeline } from '../client/timeline.js'
 * @import { Entry, Quote } from '../client/types.js'
 * @import { Row } from './rows.js'
 */

import { h, reconcile } from './dom.js';
import { icon } from './icons.js';
import { MessageActions } from './message-actions.js';
import { makeRow, updateRow } from './message-row.js';
import { Quotes } from './quotes.js';
import { buildRows } from './rows.js';
import { TimelineKeys } from './timeline-keys.js';

/** Closer to the end (px) than this counts as being there. */
const NEAR_END = 48;
/** Closer to either end of what is loaded (px) than this asks for more. */
const NEAR_EDGE = 240;
/** A message that was looked for stands out for so long (ms). */
const FOUND_FOR = 2500;

/**
 * @typedef {object} TimelineHost
 * @property {(entry: Entry) => void} reply
 * @property {(entry: Entry) => void} edit
 * @property {() => void} leave The keyboard goes on to the composer.
 * @property {() => void} settled What is in view may have been read.
 */

/** The messages of one room; keeps its place while things come in above and below. */
export class OmTimeline extends HTMLElement {
  /**
   * @param {Chat} chat
   * @param {string} roomId
   * @param {string} label
   * @param {TimelineHost} host
   */
  constructor(chat, roomId, label, host) {
    super();
    this.chat = chat;
    this.roomId = roomId;
    this.label = label;
    this._host = host;
    /** @type {string | null} */
    this.unreadAfter = null;
    /** True while the newest message is in view and should stay so. */
    this.atEnd = true;
    this._unfolded = new Set();
    this._started = false;
    /** @type {Record<'older' | 'newer', 'idle' | 'busy' | 'failed'>} */
    this._edges = { older: 'idle', newer: 'idle' };
    this._quotes = new Quotes(chat, roomId, () => this.render());
    this._older = this._edgeButton('older');
    this._newer = this._edgeButton('newer');
    this._list = h('ol', { class: 'timeline__list' });
    this._empty = h('p', { class: 'timeline__empty' });
    this._scroller = h('div', {
      class: 'timeline__scroller', role: 'region', 'aria-label': this.label,
      onscroll: () => this._onScroll(),
    }, this._older, this._empty, this._list, this._newer);
    this._count = h('span', {});
    this._pill = h('button', {
      type: 'button', class: 'timeline__pill', onclick: () => void this.toNewest(),
    }, icon('down'), this._count);
    this._above = h('button', {
      type: 'button', class: 'timeline__pill timeline__pill--above', hidden: true,
      onclick: () => void this.toFirstUnread(),
    }, icon('up'), 'First unread');
    this.actions = new MessageActions(chat, roomId, {
      reply: (entry) => host.reply(entry),
      edit: (entry) => host.edit(entry),
      rowOf: (eventId) => this.rowOf(eventId),
    });
    this._keys = new TimelineKeys(this._list, this.actions, {
      onLeave: () => host.leave(), onStart: () => void this._load('older'),
    });
  }

  /**
   * @param {string} eventId
   * @returns {HTMLElement | null}
   */
  rowOf(eventId) {
    return this._keys.rowOf(eventId);
  }

  connectedCallback() {
    this.replaceChildren(this._above, this._scroller, this._pill);
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
    return this.chat.timeline(this.roomId);
  }

  render() {
    const model = this._model;
    const place = this._place();
    const had = this._list.contains(document.activeElement);
    const rows = buildRows(model?.items() ?? [], {
      me: this.chat.store.me,
      now: Date.now(),
      unreadAfter: this.unreadAfter,
      receipts: model?.receipts.values() ?? [],
      known: (quote) => this._quotes.known(quote),
    });
    const actions = this._rowActions();
    reconcile(this._list, rows, (row) => makeRow(row, actions),
      (element, row) => updateRow(element, row, actions));
    this._keys.refresh(had);
    this._showEdges(model, rows);
    if (model?.loaded && !this._started) this._begin();
    else this._restore(place);
    this._showPills();
    this._host.settled();
  }

  /** @returns {import('./message-row.js').RowActions} */
  _rowActions() {
    const { chat, roomId, actions } = this;
    return {
      fence: actions.fence,
      mayReact: actions.may.react,
      unfolded: this._unfolded,
      retry: (id) => chat.retry(roomId, id),
      discard: (id) => chat.discard(roomId, id),
      jump: (eventId) => void this.jumpTo(eventId),
      react: (eventId, key) => actions.react(eventId, key),
      pick: (eventId, anchor) => actions.pick(eventId, anchor),
      versions: (eventId, anchor) => actions.versions(eventId, anchor),
      readers: (eventId, anchor) => actions.readers(eventId, anchor),
    };
  }

  /**
   * @param {Timeline | undefined} model
   * @param {Row[]} rows
   */
  _showEdges(model, rows) {
    const silent = rows.every((row) => row.kind !== 'message') && !model?.hasBefore;
    this._empty.hidden = !silent;
    this._empty.textContent = model?.loaded ? 'No messages yet.' : 'Loading messages…';
    this._showEdge('older', Boolean(model?.loaded && model.hasBefore));
    this._showEdge('newer', Boolean(model?.loaded && model.hasAfter));
  }

  /** @param {'older' | 'newer'} edge */
  _edgeButton(edge) {
    return h('button', {
      type: 'button', class: 'button timeline__more', hidden: true,
      onclick: () => void this._load(edge),
    });
  }

  /**
   * @param {'older' | 'newer'} edge
   * @param {boolean} shown
   */
  _showEdge(edge, shown) {
    const button = edge === 'older' ? this._older : this._newer;
    const name = edge === 'older' ? 'Older' : 'Newer';
    button.hidden = !shown;
    button.textContent = {
      idle: `Load ${edge} messages`, busy: `Loading ${edge} messages…`,
      failed: `${name} messages could not be loaded. Try again`,
    }[this._edges[edge]];
  }

  /** The first look: at what is new when there is something new, else at the end. */
  _begin() {
    this._started = true;
    const line = this._list.querySelector('.unread-line');
    this._toEnd(false);
    if (!(line instanceof HTMLElement)) return;
    // Where all that is new fits below the line, the end is the better place.
    if (line.offsetTop - NEAR_END >= this._scroller.scrollTop) return;
    this._scroller.scrollTop = line.offsetTop - this._scroller.clientHeight / 4;
    this._measure();
  }

  /** @param {boolean} smooth */
  _toEnd(smooth) {
    const { scrollHeight: top, scrollTop, clientHeight } = this._scroller;
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    // A long way takes long to slide, and whatever comes in meanwhile would stop it half-way.
    const near = top - scrollTop < clientHeight * 3;
    this._scroller.scrollTo({ top, behavior: smooth && near && !calm ? 'smooth' : 'instant' });
    this.atEnd = true;
  }

  async toNewest() {
    if (this._model?.hasAfter) {
      await this.chat.jumpToNewest(this.roomId);
      this.render();
    }
    this._toEnd(true);
    this._showPills();
    this._host.settled();
  }

  /** To the line above what is unread; where that is not loaded, it is loaded first. */
  async toFirstUnread() {
    const oldest = this._model?.oldest;
    const read = this._model?.receipts.get(this.chat.store.me.mxid);
    const beyond = oldest && this.unreadAfter !== null && oldest.order > this.unreadAfter;
    if (beyond && read && this._model?.hasBefore) await this.chat.jumpTo(this.roomId, read.event_id);
    this.atEnd = false;
    this.render();
    this._list.querySelector('.unread-line')?.scrollIntoView({ block: 'start' });
    this._scroller.scrollTop -= NEAR_END;
  }

  /**
   * Shows a message, whether it is loaded or not.
   *
   * @param {string} eventId
   * @returns {Promise<boolean>} False: there is no such message for us.
   */
  async jumpTo(eventId) {
    if (!this.rowOf(eventId)) {
      this.atEnd = false;
      if (!await this.chat.jumpTo(this.roomId, eventId)) {
        this.announce('This message cannot be shown.');
        return false;
      }
      this.render();
    }
    this._show(eventId);
    return true;
  }

  /** @param {number} time */
  async jumpToDate(time) {
    this.atEnd = false;
    const entry = await this.chat.jumpToDate(this.roomId, time);
    this.render();
    if (entry) this._show(entry.event_id);
    else await this.toNewest();
  }

  /** @param {string} eventId */
  _show(eventId) {
    const row = this.rowOf(eventId);
    if (!row) return;
    this.atEnd = false;
    row.scrollIntoView({ block: 'center' });
    this._measure();
    this._keys.focus(row);
    row.classList.add('message--found');
    setTimeout(() => row.classList.remove('message--found'), FOUND_FOR);
  }

  /** @param {string} words */
  announce(words) {
    this.dispatchEvent(new CustomEvent('om-say', { bubbles: true, detail: words }));
  }

  focusLast() {
    this._keys.focusLast();
  }

  /** @returns {{element: HTMLElement, top: number} | null} The first row in view, and where. */
  _place() {
    if (this.atEnd) return null;
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
    if (this.atEnd) this._toEnd(false);
    if (!place) return;
    // The row may have been made anew meanwhile.
    const key = CSS.escape(place.element.dataset.key ?? '');
    const element = this._list.querySelector(`[data-key="${key}"]`);
    if (element) this._scroller.scrollTop += element.getBoundingClientRect().top - place.top;
  }

  _onSize() {
    if (this.atEnd) this._toEnd(false);
  }

  _onScroll() {
    this._measure();
    this._showPills();
    const { scrollHeight, scrollTop, clientHeight } = this._scroller;
    const below = scrollHeight - scrollTop - clientHeight;
    if (this._started && scrollTop < NEAR_EDGE && this._edges.older !== 'failed') void this._load('older');
    if (this._started && below < NEAR_EDGE && this._edges.newer !== 'failed') void this._load('newer');
    this._host.settled();
  }

  _measure() {
    const { scrollHeight, scrollTop, clientHeight } = this._scroller;
    this.atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END && !this._model?.hasAfter;
  }

  _showPills() {
    const unread = this.chat.store.room(this.roomId)?.unread_count ?? 0;
    this._pill.hidden = this.atEnd;
    this._count.textContent = unread ? `${unread > 99 ? '99+' : unread} new` : 'Newest';
    this._pill.classList.toggle('timeline__pill--new', unread > 0);
    const line = this._list.querySelector('.unread-line');
    const edge = this._scroller.getBoundingClientRect().top;
    this._above.hidden = !line || line.getBoundingClientRect().bottom > edge;
  }

  /** @param {'older' | 'newer'} edge */
  async _load(edge) {
    const more = edge === 'older' ? this._model?.hasBefore : this._model?.hasAfter;
    if (this._edges[edge] === 'busy' || !more) return;
    this._edges[edge] = 'busy';
    this._showEdge(edge, true);
    try {
      if (edge === 'older') await this.chat.loadOlder(this.roomId);
      else await this.chat.loadNewer(this.roomId);
      this._edges[edge] = 'idle';
    } catch {
      this._edges[edge] = 'failed';
    }
    const left = edge === 'older' ? this._model?.hasBefore : this._model?.hasAfter;
    this._showEdge(edge, Boolean(left));
  }
}

customElements.define('om-timeline', OmTimeline);
