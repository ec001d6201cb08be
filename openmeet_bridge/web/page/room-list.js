/**
 * @import { Chat } from '../client/chat.js'
 * @import { Room, RoomKind } from '../client/types.js'
 */

import { avatar } from './avatar.js';
import { oneLine, preview } from './describe.js';
import { h, hidden, reconcile } from './dom.js';
import { badge, shortTime } from './format.js';
import { withDot } from './people.js';
import { wordsOf } from './words.js';

/** @type {Array<[RoomKind, string]>} */
const SECTIONS = [['group', 'Groups'], ['meetup', 'Meetups'], ['direct', 'Direct chats']];

/** With fewer rooms than this a filter is in the way. */
const FILTER_FROM = 8;

/**
 * @typedef {object} RoomRow
 * @property {string} key
 * @property {string} name
 * @property {string | null} avatar
 * @property {string} preview
 * @property {string} time
 * @property {number} unread
 * @property {number} mentions
 * @property {boolean} marked Marked unread by hand.
 * @property {string | undefined} presence Of the other one in a direct chat.
 * @property {boolean} draft Something was begun and not sent.
 * @property {string} href
 * @property {boolean} current
 */

/** The rooms of the user in three groups; one of them is in the tab order, arrows move. */
export class OmRoomList extends HTMLElement {
  constructor() {
    super();
    /** @type {Chat | null} */
    this.chat = null;
    /** @type {string | null} */
    this.current = null;
    /** @type {(roomId: string) => string} */
    this.hrefOf = () => '#';
    /** @type {string | null} The room that Tab reaches. */
    this._roving = null;
    this._filter = '';
  }

  connectedCallback() {
    this._search = h('input', {
      type: 'search', class: 'rooms__filter', placeholder: 'Find a room',
      'aria-label': 'Find a room', oninput: () => this._onFilter(),
    });
    this._nothing = h('p', { class: 'rooms__nothing', role: 'status' });
    this._lists = new Map(SECTIONS.map(([kind, label]) => {
      const list = h('ul', { class: 'rooms__list', 'aria-labelledby': `rooms-${kind}` });
      return [kind, h('section', { class: 'rooms__section' },
        h('h2', { id: `rooms-${kind}`, class: 'rooms__heading' }, label), list)];
    }));
    this.replaceChildren(this._search, ...this._lists.values(), this._nothing);
    this.addEventListener('keydown', (event) => this._onKey(event));
    this.addEventListener('focusin', (event) => this._onFocus(event));
  }

  _onFilter() {
    this._filter = this._search?.value.trim().toLocaleLowerCase() ?? '';
    this.render();
  }

  render() {
    const rooms = this.chat?.store.rooms() ?? [];
    const wanted = rooms.filter((room) => room.name.toLocaleLowerCase().includes(this._filter));
    if (this._search) this._search.hidden = rooms.length < FILTER_FROM && !this._filter;
    for (const [kind, section] of this._lists ?? []) {
      const rows = wanted.filter((room) => room.kind === kind).map((room) => this._row(room));
      section.hidden = rows.length === 0;
      reconcile(/** @type {Element} */ (section.lastElementChild), rows, makeRow);
    }
    const nothing = rooms.length ? 'No room of this name.' : 'You are not in any room yet.';
    this._nothing?.replaceChildren(wanted.length ? '' : nothing);
    this._rove();
  }

  /**
   * @param {Room} room
   * @returns {RoomRow}
   */
  _row(room) {
    const last = room.last_message;
    const mine = last?.sender.mxid === this.chat?.store.me.mxid;
    const who = mine ? 'You' : last?.sender.name ?? '';
    const draft = room.room_id === this.current ? '' : this.chat?.draft(room.room_id)?.text.trim() ?? '';
    const line = last ? preview(last, who, mine || room.kind !== 'direct', wordsOf(last)) : 'No messages yet';
    const other = room.direct_with?.mxid;
    return {
      key: room.room_id,
      name: room.name,
      avatar: room.avatar_url,
      preview: draft ? oneLine(draft) : line,
      time: last ? shortTime(last.timestamp, Date.now()) : '',
      unread: room.unread_count,
      mentions: room.mention_count,
      marked: room.marked_unread,
      presence: other ? this.chat?.presence(other)?.state : undefined,
      draft: Boolean(draft),
      href: this.hrefOf(room.room_id),
      current: room.room_id === this.current,
    };
  }

  /** @returns {HTMLAnchorElement[]} */
  _links() {
    return [...this.querySelectorAll('a')];
  }

  /** Keeps exactly one room in the tab order. */
  _rove() {
    const links = this._links();
    const chosen = links.find((link) => keyOf(link) === this._roving)
      ?? links.find((link) => keyOf(link) === this.current) ?? links[0];
    for (const link of links) link.tabIndex = link === chosen ? 0 : -1;
  }

  /** @param {FocusEvent} event */
  _onFocus(event) {
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    if (!link) return;
    this._roving = keyOf(link);
    this._rove();
  }

  /** @param {KeyboardEvent} event */
  _onKey(event) {
    const links = this._links();
    const here = links.indexOf(/** @type {any} */ (document.activeElement));
    const target = {
      ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: links.length - 1,
    }[event.key];
    const inFilter = event.target === this._search;
    if (target === undefined || (inFilter && event.key !== 'ArrowDown')) return;
    event.preventDefault();
    links[Math.min(Math.max(target, 0), links.length - 1)]?.focus();
  }

  /** @param {string | null} roomId */
  focusRoom(roomId) {
    const links = this._links();
    const link = links.find((one) => keyOf(one) === roomId)
      ?? links.find((one) => one.tabIndex === 0);
    link?.focus();
  }
}

/** @param {Element} link */
function keyOf(link) {
  return link.closest('li')?.dataset.key ?? null;
}

/** @param {RoomRow} row */
function makeRow(row) {
  const unread = row.unread > 0 || row.marked;
  return h('li', {}, h('a', {
    class: `room${unread ? ' room--unread' : ''}`,
    href: row.href,
    draggable: 'false',
    'aria-current': row.current ? 'page' : null,
    'data-name': 'room',
  },
  withDot(avatar({ name: row.name, url: row.avatar }), row.presence),
  h('span', { class: 'room__name' }, h('bdi', {}, row.name)),
  h('span', { class: 'room__time' }, row.time),
  h('span', { class: 'room__preview' },
    row.draft ? h('b', { class: 'room__draft' }, 'Draft: ') : null, h('bdi', {}, row.preview)),
  unread || row.mentions ? h('span', { class: 'room__badges' }, ...badges(row)) : null));
}

/** @param {RoomRow} row */
function badges({ unread, mentions, marked }) {
  const found = [];
  if (mentions) {
    found.push(h('span', { class: 'room__mentions' }, h('span', { 'aria-hidden': 'true' }, '@'),
      hidden(mentions === 1 ? 'You are mentioned. ' : `You are mentioned ${badge(mentions)} times. `)));
  }
  if (unread) {
    found.push(h('span', { class: 'room__unread' }, h('span', { 'aria-hidden': 'true' }, badge(unread)),
      hidden(`${badge(unread)} unread`)));
  } else if (marked) {
    found.push(h('span', { class: 'room__unread room__unread--marked' }, hidden('Marked unread')));
  }
  return found;
}

customElements.define('om-room-list', OmRoomList);
