/**
 * @import { Chat } from '../client/chat.js'
 * @import { Room } from '../client/types.js'
 */

import { avatar } from './avatar.js';
import { OmComposer } from './composer.js';
import { h, hidden } from './dom.js';
import { typingLine } from './format.js';
import { icon } from './icons.js';
import { safe } from './linkify.js';
import { OmTimeline } from './timeline-view.js';

/** Marks that come in a burst are sent as one, after so many ms. */
const READ_AFTER = 250;

const KINDS = { group: 'Group', meetup: 'Meetup', direct: 'Direct chat' };

/** One open room: its head, its messages, its composer. */
export class OmRoom extends HTMLElement {
  constructor() {
    super();
    /** @type {string} What the head shows. */
    this._version = '';
    /** @type {boolean | undefined} Whether the foot shows a composer. */
    this._canSend = undefined;
    /** True while a read mark is about to be sent. */
    this._reading = false;
  }

  /**
   * @param {Chat} chat
   * @param {Room} room
   * @param {{drafts: Map<string, string>, onBack: () => void}} shared
   */
  open(chat, room, shared) {
    this.chat = chat;
    this.roomId = room.room_id;
    this._shared = shared;
    this._timeline = this._makeTimeline(chat, room);
    this._typing = h('p', { class: 'typing' });
    this._head = h('header', { class: 'head' });
    this._foot = h('div', { class: 'foot' });
    this.replaceChildren(this._head, this._timeline, this._typing, this._foot);
    this.renderHead();
    void this._load();
  }

  /**
   * @param {Chat} chat
   * @param {Room} room
   */
  _makeTimeline(chat, room) {
    const timeline = new OmTimeline();
    timeline.chat = chat;
    timeline.roomId = room.room_id;
    timeline.label = `Messages in ${room.name}`;
    timeline.unreadAfter = room.unread_count > 0 ? (room.read_order ?? '') : null;
    timeline.onSettled = () => this.readSoon();
    return timeline;
  }

  async _load() {
    try {
      await this.chat?.openRoom(this.roomId ?? '');
      this.render();
    } catch {
      this._foot?.replaceChildren(h('p', { class: 'foot__note', role: 'alert' },
        'The messages could not be loaded. ',
        h('button', { type: 'button', class: 'button', onclick: () => this._again() }, 'Try again')));
    }
  }

  _again() {
    this._canSend = undefined;
    this.renderHead();
    void this._load();
  }

  /** What came in while nobody looked gets a line above it. */
  render() {
    const room = this.chat?.store.room(this.roomId ?? '');
    const timeline = this._timeline;
    if (!room || !timeline) return;
    if (timeline.unreadAfter === null && room.unread_count > 0 && !this._seen()) {
      timeline.unreadAfter = room.read_order ?? '';
    }
    timeline.render();
  }

  renderHead() {
    const room = this.chat?.store.room(this.roomId ?? '');
    if (!room) return;
    const version = JSON.stringify([room.name, room.topic, room.member_count, room.avatar_url]);
    if (version !== this._version) this._fillHead(room);
    this._version = version;
    if (this._canSend !== room.can_send) this._fillFoot(room);
    this._canSend = room.can_send;
  }

  /** @param {Room} room */
  _fillHead(room) {
    const people = room.member_count === 1 ? '1 member' : `${room.member_count} members`;
    const about = room.kind === 'direct' ? KINDS.direct : `${KINDS[room.kind]} · ${people}`;
    const page = room.url === null ? null : safe(room.url);
    this._title = h('h2', { tabindex: '-1', class: 'head__name' }, room.name);
    this._head?.replaceChildren(
      h('button', {
        type: 'button', class: 'icon-button head__back', onclick: () => this._shared?.onBack(),
        'aria-label': 'Back to the rooms',
      }, icon('back')),
      avatar({ name: room.name, url: room.avatar_url }),
      h('div', { class: 'head__text' }, this._title,
        h('p', { class: 'head__about', title: room.topic },
          room.topic ? `${about} · ${room.topic}` : about)),
      page ? h('a', {
        class: 'icon-button', href: page, target: '_blank', rel: 'noopener noreferrer',
      }, icon('link'), hidden(`${room.name} on OpenMeet`)) : '');
  }

  /** @param {Room} room */
  _fillFoot(room) {
    if (!room.can_send) {
      this._foot?.replaceChildren(h('p', { class: 'foot__note' }, icon('lock'),
        'You can read this room, but not write in it.'));
      return;
    }
    const composer = new OmComposer();
    composer.label = `Message to ${room.name}`;
    composer.draft = this._shared?.drafts.get(room.room_id) ?? '';
    composer.onDraft = (draft) => this._shared?.drafts.set(room.room_id, draft);
    composer.onTyping = (typing) => void this.chat?.setTyping(room.room_id, typing);
    composer.onSend = (body) => this._send(body);
    this._composer = composer;
    this._foot?.replaceChildren(composer);
  }

  /** @param {string} body */
  _send(body) {
    if (!this._timeline) return;
    this._timeline.unreadAfter = null;
    this._timeline.atEnd = true;
    this.chat?.send(this.roomId ?? '', body);
  }

  renderTyping() {
    const people = this.chat?.timeline(this.roomId ?? '')?.typing ?? [];
    const words = typingLine(people.map((person) => person.name));
    const dots = h('span', { class: 'typing__dots', 'aria-hidden': 'true' },
      h('i'), h('i'), h('i'));
    this._typing?.replaceChildren(...(words ? [dots, words] : []));
  }

  /** True when somebody can see the newest message. */
  _seen() {
    return document.visibilityState === 'visible' && document.hasFocus()
      && this._timeline?.atEnd === true && this.offsetParent !== null;
  }

  readSoon() {
    // Not put off by what comes next: in a lively room that would be for ever.
    if (this._reading) return;
    this._reading = true;
    setTimeout(() => {
      this._reading = false;
      if (this.isConnected && this._seen()) void this.chat?.markRead(this.roomId ?? '');
    }, READ_AFTER);
  }

  focusTitle() {
    this._title?.focus();
  }

  focusComposer() {
    if (this._composer?.isConnected) this._composer.focusText();
    else this.focusTitle();
  }
}

customElements.define('om-room', OmRoom);
