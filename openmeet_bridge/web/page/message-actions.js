/**
 * What one can do with a message: by its toolbar, its menu, or a key.
 *
 * @import { Chat } from '../client/chat.js'
 * @import { Entry, Permissions } from '../client/types.js'
 * @import { MenuItem } from './menu.js'
 */

import { isEvent, oneLine } from './describe.js';
import { ask } from './dialog.js';
import { plainName } from './format.js';
import { openMenu } from './menu.js';
import { openPicker } from './emoji-picker.js';
import { showReactions, showReaders, showVersions } from './message-popups.js';
import { wordsOf } from './words.js';

/** What can be changed by its writer. */
const EDITABLE = new Set(['text', 'emote', 'notice']);

/**
 * @typedef {object} Deeds What others do for it.
 * @property {(entry: Entry) => void} reply
 * @property {(entry: Entry) => void} edit
 * @property {(eventId: string) => HTMLElement | null} rowOf
 */

export class MessageActions {
  /**
   * @param {Chat} chat
   * @param {string} roomId
   * @param {Deeds} deeds
   */
  constructor(chat, roomId, deeds) {
    this.chat = chat;
    this.roomId = roomId;
    this._deeds = deeds;
  }

  /** @returns {Permissions} */
  get may() {
    return this.chat.store.room(this.roomId)?.permissions
      ?? { send: false, react: false, delete_others: false, mention_room: false };
  }

  /** @param {string} eventId */
  entry(eventId) {
    return this.chat.timeline(this.roomId)?.items().find((item) => item.entry?.event_id === eventId)?.entry
      ?? undefined;
  }

  /** @param {Entry} entry */
  _mine(entry) {
    return entry.sender.mxid === this.chat.store.me.mxid;
  }

  /** @param {Entry} entry */
  mayReply(entry) {
    return this.may.send && entry.kind !== 'deleted' && !isEvent(entry.kind);
  }

  /** @param {Entry} entry */
  mayReact(entry) {
    return this.may.react && entry.kind !== 'deleted' && !isEvent(entry.kind);
  }

  /** @param {Entry} entry */
  mayEdit(entry) {
    return this.may.send && this._mine(entry) && EDITABLE.has(entry.kind);
  }

  /** @param {Entry} entry */
  mayDelete(entry) {
    return entry.kind !== 'deleted' && !isEvent(entry.kind)
      && (this._mine(entry) || this.may.delete_others);
  }

  /**
   * @param {string} eventId
   * @param {Element} anchor
   */
  menu(eventId, anchor) {
    const entry = this.entry(eventId);
    if (!entry) return;
    const back = () => this._deeds.rowOf(eventId);
    const items = this._items(entry, () => back() ?? anchor);
    if (items.length) openMenu(anchor, 'What to do with this message', items, back);
  }

  /**
   * @param {Entry} entry
   * @param {() => Element} place
   * @returns {MenuItem[]}
   */
  _items(entry, place) {
    const id = entry.event_id;
    /** @type {Array<MenuItem | false | undefined>} */
    const items = [
      this.mayReact(entry) && { icon: 'smile', label: 'React', key: '+', act: () => this.pick(id, place()) },
      this.mayReply(entry) && { icon: 'reply', label: 'Reply', key: 'R', act: () => this.reply(id) },
      this.mayEdit(entry) && { icon: 'edit', label: 'Edit', key: 'E', act: () => this.edit(id) },
      entry.kind !== 'deleted' && {
        icon: 'copy', label: 'Copy text', act: () => void navigator.clipboard?.writeText(entry.text),
      },
      (entry.reactions?.length ?? 0) > 0 && {
        icon: 'people', label: 'Who reacted', act: () => this.reactions(id, place()),
      },
      entry.edited && { icon: 'history', label: 'Earlier versions', act: () => this.versions(id, place()) },
      !isEvent(entry.kind) && { icon: 'eye', label: 'Read by', act: () => this.readers(id, place()) },
      this.mayDelete(entry) && {
        icon: 'trash', label: 'Delete', key: 'Del', danger: true, act: () => void this.remove(id),
      },
    ];
    return /** @type {MenuItem[]} */ (items.filter(Boolean));
  }

  /** @param {string} eventId */
  reply(eventId) {
    const entry = this.entry(eventId);
    if (entry && this.mayReply(entry)) this._deeds.reply(entry);
  }

  /** @param {string} eventId */
  edit(eventId) {
    const entry = this.entry(eventId);
    if (entry && this.mayEdit(entry)) this._deeds.edit(entry);
  }

  /**
   * @param {string} eventId
   * @param {Element} anchor
   */
  pick(eventId, anchor) {
    const entry = this.entry(eventId);
    if (!entry || !this.mayReact(entry)) return;
    const chosen = (entry.reactions ?? []).filter((one) => one.mine).map((one) => one.key);
    openPicker(anchor, {
      label: 'Choose a reaction', typed: true, chosen,
      onChoose: (key) => this.react(eventId, key),
      back: () => this._deeds.rowOf(eventId),
    });
  }

  /**
   * @param {string} eventId
   * @param {string} key
   */
  react(eventId, key) {
    this.chat.react(this.roomId, eventId, key);
  }

  /** @param {string} eventId */
  async remove(eventId) {
    const entry = this.entry(eventId);
    if (!entry || !this.mayDelete(entry)) return;
    const others = !this._mine(entry);
    const answer = await ask({
      title: others ? `Delete the message of ${plainName(entry.sender.name)}?` : 'Delete this message?',
      words: oneLine(wordsOf(entry)),
      field: others ? 'Reason, which everybody can read' : null,
      confirm: 'Delete',
    });
    if (answer === null) return void this._deeds.rowOf(eventId)?.focus();
    this.chat.remove(this.roomId, eventId, answer || undefined);
    this._deeds.rowOf(eventId)?.focus();
  }

  /**
   * @param {string} eventId
   * @param {Element} anchor
   */
  versions(eventId, anchor) {
    const fence = this.fence;
    showVersions(anchor, this.chat, this.roomId, eventId, fence, () => this._deeds.rowOf(eventId));
  }

  /**
   * @param {string} eventId
   * @param {Element} anchor
   */
  readers(eventId, anchor) {
    showReaders(anchor, this.chat, this.roomId, eventId, () => this._deeds.rowOf(eventId));
  }

  /**
   * @param {string} eventId
   * @param {Element} anchor
   */
  reactions(eventId, anchor) {
    showReactions(anchor, this.chat, this.roomId, eventId, () => this._deeds.rowOf(eventId));
  }

  /** @returns {import('./fence.js').FenceOptions} */
  get fence() {
    const { store } = this.chat;
    return {
      me: store.me.mxid,
      name: (mxid) => plainName(store.person(mxid)?.name ?? mxid.replace(/^@|:.*$/gu, '')),
    };
  }
}
