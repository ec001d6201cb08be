/**
 * @import { Chat } from '../client/chat.js'
 * @import { Draft, Member, Person, Room } from '../client/types.js'
 * @import { Mode } from './composer.js'
 */

import { ApiError } from '../client/api.js';
import { OmComposer } from './composer.js';
import { h } from './dom.js';
import { list, typingLine } from './format.js';
import { icon } from './icons.js';
import { EVERYBODY, callsEverybody, mentionsIn } from './mentions.js';
import { RoomHead } from './room-head.js';
import { OmTimeline } from './timeline-view.js';

/** Marks that come in a burst are sent as one, after so many ms. */
const READ_AFTER = 250;

/** What makes a message say what its writer does. */
const EMOTE = /^\/me\s+/u;

/** One open room: its head, its messages, its composer. */
export class OmRoom extends HTMLElement {
  /**
   * @param {Chat} chat
   * @param {Room} room
   * @param {() => void} onBack
   */
  constructor(chat, room, onBack) {
    super();
    this.chat = chat;
    this.roomId = room.room_id;
    this._onBack = onBack;
    /** @type {boolean | undefined} Whether the foot shows a composer. */
    this._canSend = undefined;
    /** True while a read mark is about to be sent. */
    this._reading = false;
    /** Marked unread by hand: not read again until one writes here, or comes back to it. */
    this._leftUnread = false;
    /** @type {Promise<Member[]> | null} */
    this._members = null;
    /** @type {Member[]} Those who can be mentioned, once somebody has asked. */
    this._known = [];
    this._timeline = this._makeTimeline(room);
    this._typing = h('p', { class: 'typing' });
    this._foot = h('div', { class: 'foot' });
    this._head = new RoomHead(chat, room.room_id, {
      back: onBack,
      toDate: (time) => void this._timeline.jumpToDate(time),
      toUnread: () => void this._timeline.toFirstUnread(),
      markUnread: () => this._markUnread(),
    });
  }

  connectedCallback() {
    this.replaceChildren(this._head.element, this._timeline, this._typing, this._foot);
    this.renderHead();
    this.renderTyping();
    void this._load();
  }

  /** @param {Room} room */
  _makeTimeline(room) {
    const timeline = new OmTimeline(this.chat, room.room_id, `Messages in ${room.name}`, {
      reply: (entry) => this._composer?.reply(entry),
      edit: (entry) => this._composer?.edit(entry),
      leave: () => this.focusComposer(),
      settled: () => this.readSoon(),
    });
    timeline.unreadAfter = room.unread_count > 0 ? (room.read_order ?? '') : null;
    return timeline;
  }

  async _load() {
    try {
      await this.chat.openRoom(this.roomId);
      this.render();
      void this.chat.loadPresence(this.roomId).catch(() => {});
    } catch (error) {
      this._canSend = undefined;
      this._foot.replaceChildren(h('p', { class: 'foot__note', role: 'alert' },
        'The messages could not be loaded. ', error instanceof ApiError ? error.message : '',
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
    const room = this.chat.store.room(this.roomId);
    const timeline = this._timeline;
    if (!room) return;
    if (timeline.unreadAfter === null && room.unread_count > 0 && !this._seen()) {
      timeline.unreadAfter = room.read_order ?? '';
    }
    timeline.render();
  }

  renderHead() {
    const room = this.chat.store.room(this.roomId);
    if (!room) return;
    this._head.render(room);
    if (this._canSend !== room.permissions.send) this._fillFoot(room);
    this._canSend = room.permissions.send;
  }

  /** @param {Room} room */
  _fillFoot(room) {
    this._composer = undefined;
    if (!room.permissions.send) {
      this._foot.replaceChildren(h('p', { class: 'foot__note' }, icon('lock'),
        'You can read this room, but not write in it.'));
      return;
    }
    this._composer = new OmComposer(`Message to ${room.name}`, {
      send: (text, mode) => this._send(text, mode),
      typing: () => this.chat.setTyping(this.roomId, true),
      quiet: () => this.chat.setTyping(this.roomId, false),
      draft: (text, mode) => this._keepDraft(text, mode),
      editLast: () => this._editLast(),
      people: () => this._people(),
    });
    this._foot.replaceChildren(this._composer);
    void this._restoreDraft();
  }

  /**
   * @param {string} text
   * @param {Mode | null} mode
   */
  _keepDraft(text, mode) {
    if (!text && !mode) return this.chat.setDraft(this.roomId, null);
    const id = mode?.entry.event_id;
    const about = mode?.kind === 'edit' ? { editing: id } : mode ? { reply_to: id } : {};
    return this.chat.setDraft(this.roomId, { text, ...about });
  }

  /** Takes up what was begun here, or in another tab. */
  async _restoreDraft() {
    const draft = this.chat.draft(this.roomId);
    if (!draft || !this._composer || this._composer.text) return;
    const id = draft.editing ?? draft.reply_to;
    this._composer.restore(draft.text, null);
    if (!id) return;
    try {
      const entry = this.chat.timeline(this.roomId)?.get(id) ?? await this.chat.api.entry(this.roomId, id);
      if (this._composer?.text !== draft.text) return;
      this._composer.restore(draft.text, { kind: draft.editing ? 'edit' : 'reply', entry });
    } catch {
      // What it was about is gone; its words stay.
    }
  }

  /** The draft was changed elsewhere; what one is writing here is not overwritten. */
  draftChanged() {
    const composer = this._composer;
    if (composer && !composer.contains(document.activeElement)) void this._restoreDraft();
  }

  /** @returns {Promise<Person[]>} */
  async _people() {
    this._members ??= this.chat.api.members(this.roomId).then(({ members }) => members);
    try {
      const members = await this._members;
      const others = members.filter((one) => one.mxid !== this.chat.store.me.mxid
        && one.membership === 'join');
      const all = this.chat.store.room(this.roomId)?.permissions.mention_room;
      this._known = others;
      return all ? [...others, EVERYBODY] : others;
    } catch {
      this._members = null;
      return [];
    }
  }

  /**
   * @param {string} text
   * @param {Mode | null} mode
   * @returns {string | null}
   */
  _send(text, mode) {
    const draft = this._draftOf(text);
    try {
      if (mode?.kind === 'edit') {
        this.chat.edit(this.roomId, mode.entry.event_id, draft);
        return null;
      }
      this._timeline.unreadAfter = null;
      this._leftUnread = false;
      const reply = mode?.kind === 'reply' ? { reply_to: mode.entry.event_id } : {};
      this.chat.send(this.roomId, { ...draft, ...reply });
      void this._timeline.toNewest();
      return null;
    } catch (error) {
      return error instanceof ApiError ? error.message : 'This cannot be sent.';
    }
  }

  /**
   * @param {string} text
   * @returns {Draft}
   */
  _draftOf(text) {
    const timeline = this.chat.timeline(this.roomId);
    const seen = (timeline?.entries ?? []).map((entry) => entry.sender);
    const people = new Map([...seen, ...this._known].map((one) => [one.mxid, one]));
    people.delete(this.chat.store.me.mxid);
    const mentions = mentionsIn(text, [...people.values()]);
    const all = callsEverybody(text)
      && this.chat.store.room(this.roomId)?.permissions.mention_room;
    /** @type {Draft} */
    const draft = { body: text.replace(EMOTE, ''), format: 'markdown' };
    if (EMOTE.test(text)) draft.kind = 'emote';
    if (mentions.length) draft.mentions = mentions;
    if (all) draft.mention_room = true;
    return draft;
  }

  _editLast() {
    const entries = this.chat.timeline(this.roomId)?.entries ?? [];
    const { actions } = this._timeline;
    const last = entries.findLast((entry) => actions.mayEdit(entry));
    if (last) actions.edit(last.event_id);
  }

  _markUnread() {
    this._leftUnread = true;
    void this.chat.markUnread(this.roomId, true);
    this._onBack();
  }

  renderTyping() {
    const people = this.chat.timeline(this.roomId)?.typing ?? [];
    const words = typingLine(people.map((person) => person.name));
    const dots = h('span', { class: 'typing__dots', 'aria-hidden': 'true' },
      h('i'), h('i'), h('i'));
    const text = h('span', { class: 'typing__words', title: list(people.map(({ name }) => name)) }, words);
    this._typing.replaceChildren(...(words ? [dots, text] : []));
  }

  renderPresence() {
    const room = this.chat.store.room(this.roomId);
    if (room) this._head.render(room);
  }

  /** True when somebody can see the newest message. */
  _seen() {
    return document.visibilityState === 'visible' && document.hasFocus()
      && this._timeline.atEnd && this.offsetParent !== null;
  }

  readSoon() {
    // Not put off by what comes next: in a lively room that would be for ever.
    if (this._reading || this._leftUnread) return;
    this._reading = true;
    setTimeout(() => {
      this._reading = false;
      if (this.isConnected && !this._leftUnread && this._seen()) void this.chat.markRead(this.roomId);
    }, READ_AFTER);
  }

  focusTitle() {
    this._head.focus();
  }

  focusComposer() {
    if (this._composer?.isConnected) this._composer.focusText();
    else this.focusTitle();
  }
}

customElements.define('om-room', OmRoom);
