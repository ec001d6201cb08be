/**
 * @import { Chat } from '../client/chat.js'
 * @import { Room } from '../client/types.js'
 */

import { avatar } from './avatar.js';
import { askDate } from './date-popup.js';
import { h, hidden } from './dom.js';
import { icon } from './icons.js';
import { safe } from './linkify.js';
import { openMenu } from './menu.js';
import { showList } from './message-popups.js';
import { personLine, presenceWords, withDot } from './people.js';

const KINDS = { group: 'Group', meetup: 'Meetup', direct: 'Direct chat' };
const ORDER = { online: 0, idle: 1, offline: 2 };

/**
 * @typedef {object} HeadHost
 * @property {() => void} back
 * @property {(time: number) => void} toDate
 * @property {() => void} toUnread
 * @property {() => void} markUnread
 */

/** What stands above the messages: which room this is, who is in it, and where one can go. */
export class RoomHead {
  /**
   * @param {Chat} chat
   * @param {string} roomId
   * @param {HeadHost} host
   */
  constructor(chat, roomId, host) {
    this._chat = chat;
    this._roomId = roomId;
    this._host = host;
    this._version = '';
    /** @type {string | null} Where it is on OpenMeet. */
    this._page = null;
    this._face = h('span', { class: 'head__face' });
    this._title = h('h2', { tabindex: '-1', class: 'head__name' });
    this._about = h('p', { class: 'head__about' });
    this._link = h('span', { class: 'head__link' });
    this._more = this._button('more', 'More about this room', (anchor) => this._menu(anchor));
    this._people = this._button('people', 'People', (anchor) => void this._showPeople(anchor));
    this._more.setAttribute('aria-haspopup', 'menu');
    this._people.setAttribute('aria-haspopup', 'dialog');
    this._people.classList.add('head__people');
    this.element = h('header', { class: 'head' },
      h('button', {
        type: 'button', class: 'icon-button head__back', onclick: () => host.back(),
        'aria-label': 'Back to the rooms',
      }, icon('back')),
      this._face, h('div', { class: 'head__text' }, this._title, this._about),
      this._people, this._link, this._more);
  }

  /**
   * @param {Parameters<typeof icon>[0]} sign
   * @param {string} label
   * @param {(anchor: HTMLElement) => void} act
   */
  _button(sign, label, act) {
    const button = h('button', {
      type: 'button', class: 'icon-button', 'aria-label': label, title: label,
      onclick: () => act(button),
    }, icon(sign));
    return button;
  }

  focus() {
    this._title.focus();
  }

  /** @param {Room} room */
  render(room) {
    const other = room.direct_with;
    const state = other ? this._chat.presence(other.mxid)?.state : undefined;
    const about = this._aboutWords(room);
    const version = JSON.stringify([room.name, room.topic, room.avatar_url, room.url, about, state]);
    if (version === this._version) return;
    this._version = version;
    this._face.replaceChildren(withDot(avatar({ name: room.name, url: room.avatar_url }), state));
    this._title.replaceChildren(room.name);
    this._about.replaceChildren(about);
    this._about.title = room.topic ?? '';
    this._people.hidden = room.kind === 'direct';
    const page = room.url === null ? null : safe(room.url);
    this._page = page;
    this._link.replaceChildren(...(page ? [h('a', {
      class: 'icon-button', href: page, target: '_blank', rel: 'noopener noreferrer',
      title: 'Show on OpenMeet',
    }, icon('link'), hidden(`${room.name} on OpenMeet`))] : []));
  }

  /** @param {Room} room */
  _aboutWords(room) {
    const people = room.member_count === 1 ? '1 member' : `${room.member_count} members`;
    const here = room.direct_with ? presenceWords(this._chat, room.direct_with.mxid) : '';
    const parts = room.kind === 'direct' ? [here || KINDS.direct] : [KINDS[room.kind], people];
    return [...parts, room.topic].filter(Boolean).join(' · ');
  }

  /** @param {HTMLElement} anchor */
  _menu(anchor) {
    const page = this._page;
    openMenu(anchor, 'More about this room', [
      ...(this._people.hidden ? [] : [
        { icon: /** @type {const} */ ('people'), label: 'People', act: () => void this._showPeople(anchor) },
      ]),
      { icon: 'calendar', label: 'Go to a date', act: () => askDate(anchor, (time) => this._host.toDate(time)) },
      { icon: 'up', label: 'First unread message', act: () => this._host.toUnread() },
      { icon: 'unread', label: 'Mark as unread', act: () => this._host.markUnread() },
      ...(page ? [{
        icon: /** @type {const} */ ('link'), label: 'Show on OpenMeet',
        act: () => void open(page, '_blank', 'noopener,noreferrer'),
      }] : []),
    ]);
  }

  /** @param {HTMLElement} anchor */
  _showPeople(anchor) {
    return showList(anchor, 'People in this room', () => anchor, async () => {
      const [{ members }] = await Promise.all([
        this._chat.api.members(this._roomId),
        this._chat.loadPresence(this._roomId).catch(() => {}),
      ]);
      const here = members.filter((member) => member.membership === 'join');
      const rank = (/** @type {string} */ mxid) => ORDER[this._chat.presence(mxid)?.state ?? 'offline'];
      here.sort((a, b) => rank(a.mxid) - rank(b.mxid) || a.name.localeCompare(b.name));
      return here.map((member) => personLine(this._chat, member, ''));
    }, 'Nobody is here.');
  }
}
