/**
 * @import { ConnectionState } from '../client/stream.js'
 * @import { DemoUser, Entry } from '../client/types.js'
 */

import { ApiError } from '../client/api.js';
import { Chat } from '../client/chat.js';
import { OmAnnouncer } from './announcer.js';
import { faceOf } from './avatar.js';
import { OmConnection } from './connection.js';
import { preview } from './describe.js';
import { h } from './dom.js';
import { badge, plainName } from './format.js';
import { icon } from './icons.js';
import { OmLogin } from './login.js';
import { Painter } from './painter.js';
import { OmRoomList } from './room-list.js';
import { closePopup } from './popup.js';
import { OmRoom } from './room-view.js';
import { formatRoute, parseRoute } from './route.js';
import { Session } from './session.js';
import { openSettings } from './settings.js';
import { wordsOf } from './words.js';

/** The whole page: signing in, then rooms beside the open room. */
export class OmApp extends HTMLElement {
  constructor() {
    super();
    this._session = new Session();
    /** @type {Chat | null} */
    this._chat = null;
    /** @type {OmRoom | null} */
    this._room = null;
    /** @type {string | null} The room whose place in the list gets the focus on the way back. */
    this._returnTo = null;
    this._roomsPainter = new Painter(() => this._onRooms());
    this._roomPainter = new Painter(() => this._room?.render());
  }

  connectedCallback() {
    addEventListener('hashchange', () => this._onRoute());
    addEventListener('online', () => this._chat?.stream.tryNow());
    addEventListener('offline', () => this._chat?.stream.networkLost());
    addEventListener('beforeunload', (event) => this._onLeave(event));
    addEventListener('focus', () => this._onAttention());
    document.addEventListener('visibilitychange', () => this._onAttention());
    for (const sign of ['pointermove', 'pointerdown', 'keydown']) {
      addEventListener(sign, () => this._onSign(), { capture: true, passive: true });
    }
    this.addEventListener('keydown', (event) => this._onKey(event));
    void this._boot();
  }

  /** Somebody is at a page on which nobody was for hours. */
  _onSign() {
    if (this._chat?.stream.state.phase === 'resting') this._chat.setActive(true);
  }

  /** Somebody looks at the page again, or away. */
  _onAttention() {
    const here = document.visibilityState === 'visible';
    this._chat?.setActive(here);
    if (!here) return;
    if (this._chat?.stream.state.phase === 'reconnecting') this._chat.stream.tryNow();
    this._room?.readSoon();
  }

  /**
   * What the server does not have yet is kept by the browser; where it cannot be, it would be lost.
   *
   * @param {Event} event
   */
  _onLeave(event) {
    if (!this._chat?.outbox.notice) return;
    const mine = this._chat.outbox.unsent();
    const lost = mine.some(({ state }) => state !== 'pending' && state !== 'failed');
    if (lost) event.preventDefault();
  }

  async _boot() {
    this.replaceChildren(h('p', { class: 'splash', role: 'status' }, 'Opening the chat…'));
    const { user } = parseRoute(location.hash);
    try {
      if (await this._session.resume(user)) return await this._start();
      const users = await this._session.demoUsers();
      const same = users?.find((one) => one.tenant === user?.tenant && one.slug === user?.slug);
      if (same) return await this._enterDemo(same);
      return this._login(users, user ? 'There is no such user here. Choose another one.' : null);
    } catch (error) {
      return this._broken(error);
    }
  }

  /** @param {unknown} error */
  _broken(error) {
    const reason = error instanceof ApiError ? error.message : String(error);
    this.replaceChildren(h('main', { class: 'splash', id: 'main' },
      h('p', { role: 'alert' }, `The chat could not be opened. ${reason}`),
      h('button', {
        type: 'button', class: 'button button--main', onclick: () => this._boot(),
      }, 'Try again')));
  }

  /**
   * @param {DemoUser[] | null} users
   * @param {string | null} notice
   */
  _login(users, notice) {
    const login = new OmLogin();
    document.title = 'OpenMeet chat';
    login.show(users, {
      onDemo: (user) => this._enterDemo(user),
      onToken: async (token, tenant) => {
        await this._session.enter(token, tenant);
        await this._start();
      },
    }, notice);
    this.replaceChildren(login);
  }

  /** @param {DemoUser} user */
  async _enterDemo(user) {
    await this._session.enterDemo(user);
    const { room } = parseRoute(location.hash);
    // Two windows, two users: a reload finds its own again.
    history.replaceState(null, '', formatRoute({ user, room }));
    await this._start();
  }

  async _start() {
    const chat = new Chat({ api: this._session.api });
    this._chat = chat;
    chat.on('rooms', () => this._roomsPainter.request());
    chat.on('timeline', ({ roomId }) => this._inRoom(roomId, () => this._roomPainter.request()));
    chat.on('typing', ({ roomId }) => this._inRoom(roomId, (room) => room.renderTyping()));
    chat.on('connection', (state) => this._onConnection(state));
    chat.on('arrival', (entry) => this._onArrival(entry));
    chat.on('removed', ({ roomId, name }) => this._onRemoved(roomId, name));
    chat.on('stranger', () => location.reload());
    chat.on('presence', () => this._onPresence());
    chat.on('drafts', ({ roomId }) => this._onDrafts(roomId));
    chat.on('storage', (words) => this._note(words));
    chat.on('failed', (action) => this._onFailed(action.roomId));
    await chat.start();
    this._layOut(chat);
    chat.setActive(document.visibilityState === 'visible');
    this._onRooms();
    this._onRoute();
    this._onConnection(chat.stream.state);
  }

  /** @param {Chat} chat */
  _layOut(chat) {
    this._banner = new OmConnection();
    this._notice = h('p', { class: 'storage-note', role: 'status' });
    this._announcer = new OmAnnouncer();
    this._list = new OmRoomList();
    this._list.chat = chat;
    this._list.hrefOf = (room) => formatRoute({ ...parseRoute(location.hash), room });
    this._main = h('section', { class: 'main', 'aria-label': 'Conversation', tabindex: '-1' });
    this._layout = h('main', { class: 'layout', id: 'main' },
      h('h1', { class: 'visually-hidden' }, 'OpenMeet chat'),
      this._sidebar(chat, this._list), this._main);
    this.replaceChildren(this._skipLink(), this._banner, this._notice, this._layout, this._announcer);
    this._layout.addEventListener('om-say', (event) => {
      this._announcer?.say(/** @type {CustomEvent<string>} */ (event).detail);
    });
  }

  _skipLink() {
    return h('a', {
      class: 'skip-link',
      href: '#main',
      onclick: (/** @type {Event} */ event) => {
        // The address holds the room; a jump must not replace it.
        event.preventDefault();
        if (this._room) this._room.focusComposer();
        else this._main?.focus();
      },
    }, 'Skip to the messages');
  }

  /**
   * @param {Chat} chat
   * @param {OmRoomList} list
   */
  _sidebar(chat, list) {
    const { me } = chat.store;
    this._light = h('span', { class: 'me__light' });
    return h('div', { class: 'sidebar' },
      h('header', { class: 'me' },
        faceOf(me),
        h('div', { class: 'me__text' },
          h('p', { class: 'me__name' }, me.name),
          h('p', { class: 'me__tenant' }, this._light, chat.me?.tenant.name ?? '')),
        h('button', {
          type: 'button', class: 'icon-button', 'aria-label': 'Your privacy', title: 'Your privacy',
          'aria-haspopup': 'dialog', onclick: () => void openSettings(chat),
        }, icon('settings')),
        h('button', {
          type: 'button', class: 'icon-button', 'aria-label': 'Sign out', title: 'Sign out',
          onclick: () => this._signOut(),
        }, icon('signOut'))),
      h('nav', { class: 'rooms', 'aria-label': 'Rooms' }, list));
  }

  async _signOut() {
    const chat = this._chat;
    this._chat = null;
    this._room = null;
    // What is kept in this browser goes as well: it is of whoever was here.
    await chat?.signOut().catch(() => {});
    history.replaceState(null, '', location.pathname);
    try {
      await this._session.leave();
    } catch {
      // Without a server the cookie stays; it ends with its token.
    }
    await this._boot();
  }

  _onRoute() {
    if (!this._chat || !this._layout) return;
    const { user, room } = parseRoute(location.hash);
    const mine = this._chat.store.me;
    if (user && user.slug !== mine.slug) return location.reload();
    const found = room === null ? undefined : this._chat.store.room(room);
    this._show(found ? room : null, room && !found ? 'You are not in this room.' : null);
    return undefined;
  }

  /**
   * @param {string | null} roomId
   * @param {string | null} note
   */
  _show(roomId, note) {
    if (!this._layout || !this._main || !this._list || !this._chat) return;
    const byHand = this._list.contains(document.activeElement);
    const room = roomId === null ? undefined : this._chat.store.room(roomId);
    this._layout.dataset.view = room ? 'room' : 'list';
    this._list.current = roomId;
    this._list.render();
    if (room && this._room?.roomId === roomId) return;
    closePopup();
    this._room = room ? new OmRoom(this._chat, room, () => this._back()) : null;
    this._main.replaceChildren(this._room ?? this._nothing(note));
    if (byHand) this._focusRoom();
    if (!room && this._returnTo) this._list.focusRoom(this._returnTo);
    this._returnTo = null;
    this._title();
  }

  /** @param {string | null} note */
  _nothing(note) {
    return h('div', { class: 'nothing' }, icon('chat'),
      h('h2', {}, note ?? 'Choose a room'),
      h('p', {}, 'Your groups, meetups and direct chats are in the list.'));
  }

  _focusRoom() {
    // A phone would cover the messages with its keyboard.
    if (matchMedia('(pointer: coarse)').matches) this._room?.focusTitle();
    else this._room?.focusComposer();
  }

  /** @returns {boolean} True when list and room are separate views. */
  get _narrow() {
    return matchMedia('(max-width: 719px)').matches;
  }

  _back() {
    const roomId = this._room?.roomId ?? null;
    if (!this._narrow) return this._list?.focusRoom(roomId);
    // The list appears with the change of the address, which comes a moment later.
    this._returnTo = roomId;
    location.hash = formatRoute({ ...parseRoute(location.hash), room: null });
    return undefined;
  }

  /** @param {KeyboardEvent} event */
  _onKey(event) {
    if (event.key !== 'Escape' || event.defaultPrevented || event.isComposing) return;
    if (this._main?.contains(document.activeElement) && this._room) this._back();
  }

  /**
   * @param {string} roomId
   * @param {(room: OmRoom) => void} act
   */
  _inRoom(roomId, act) {
    if (this._room?.roomId === roomId) act(this._room);
  }

  _onRooms() {
    this._list?.render();
    this._room?.renderHead();
    const wanted = parseRoute(location.hash).room;
    // A room that was asked for before we were let in.
    if (wanted && !this._room && this._chat?.store.room(wanted)) this._onRoute();
    this._title();
  }

  _onPresence() {
    this._roomsPainter.request();
    this._room?.renderPresence();
  }

  /** @param {string} roomId */
  _onDrafts(roomId) {
    this._roomsPainter.request();
    this._inRoom(roomId, (room) => room.draftChanged());
  }

  /** @param {string} words */
  _note(words) {
    this._notice?.replaceChildren(words);
  }

  /** @param {string} roomId A failure in the open room says so itself. */
  _onFailed(roomId) {
    if (this._room?.roomId === roomId) return;
    const name = this._chat?.store.room(roomId)?.name ?? 'a room';
    this._note(`Something you wrote in ${plainName(name)} could not be sent.`);
  }

  _title() {
    const { messages = 0, mentions = 0 } = this._chat?.store.totals() ?? {};
    const room = this._chat?.store.room(this._room?.roomId ?? '');
    const named = mentions ? ` · @${badge(mentions)}` : '';
    const count = messages ? `(${badge(messages)}${named}) ` : '';
    document.title = `${count}${room ? `${plainName(room.name)} · ` : ''}OpenMeet chat`;
  }

  /** @param {ConnectionState} state */
  _onConnection(state) {
    this._banner?.show(state, {
      tryNow: () => this._chat?.stream.tryNow(),
      signIn: () => void this._signOut(),
    });
    if (!this._light) return;
    this._light.dataset.phase = state.phase;
    this._light.title = state.phase === 'live' ? 'Connected' : 'Not connected';
  }

  /** @param {Entry} entry */
  _onArrival(entry) {
    if (this._room?.roomId !== entry.room_id) return;
    this._announcer?.tell(entry.event_id, preview(entry, entry.sender.name, true, wordsOf(entry)));
  }

  /**
   * @param {string} roomId
   * @param {string} name
   */
  _onRemoved(roomId, name) {
    if (this._room?.roomId !== roomId) return;
    history.replaceState(null, '', formatRoute({ ...parseRoute(location.hash), room: null }));
    this._show(null, `You are no longer in ${name || 'this room'}.`);
  }
}

customElements.define('om-app', OmApp);
