/**
 * Rooms, people, unread counts: a pure model of what the room list shows.
 *
 * @import { Entry, Person, Receipt, Room, UnreadState, UnreadTotals } from './types.js'
 */

import { isMessage } from './message.js';

/** The server counts no further: 100 stands for "99+". */
const MOST_UNREAD = 100;

/** What is known of the rooms of one user. */
export class Store {
  /** @param {Person} me */
  constructor(me) {
    this.me = me;
    /** @type {Map<string, Room>} */
    this._rooms = new Map();
    /** @type {Map<string, Person>} */
    this._people = new Map();
    this.addPerson(me);
  }

  /** @returns {Room[]} Latest first. */
  rooms() {
    return [...this._rooms.values()].sort(
      (a, b) => lastTime(b) - lastTime(a) || a.name.localeCompare(b.name),
    );
  }

  /** @param {string} roomId */
  room(roomId) {
    return this._rooms.get(roomId);
  }

  /** @param {string} mxid */
  person(mxid) {
    return this._people.get(mxid);
  }

  /** @returns {UnreadTotals} What is unread in all rooms. */
  totals() {
    const totals = { messages: 0, mentions: 0, rooms: 0 };
    for (const room of this._rooms.values()) {
      totals.messages += room.unread_count;
      totals.mentions += room.mention_count;
      if (room.unread_count > 0 || room.marked_unread) totals.rooms += 1;
    }
    return totals;
  }

  /** @param {Room[]} rooms The whole list, replacing what was known. */
  replace(rooms) {
    this._rooms.clear();
    for (const room of rooms) this.putRoom(room);
  }

  /** @param {Room} room */
  putRoom(room) {
    this._rooms.set(room.room_id, room);
    if (room.last_message) this.addPerson(room.last_message.sender);
    if (room.direct_with) this.addPerson(room.direct_with);
  }

  /** @param {string} roomId */
  removeRoom(roomId) {
    this._rooms.delete(roomId);
  }

  /** @param {Person} person */
  addPerson(person) {
    this._people.set(person.mxid, person);
  }

  /**
   * Learns names from an entry: of its sender, and of whom it is about.
   *
   * @param {Entry} entry
   */
  learn(entry) {
    this.addPerson(entry.sender);
    if (entry.subject) this.addPerson(entry.subject);
    for (const person of entry.mentions?.people ?? []) this.addPerson(person);
  }

  /**
   * Takes in an entry of the stream: last message, unread and mention counts.
   *
   * @param {Entry} entry
   * @param {boolean} [changed] It is not new: something about it is.
   * @returns {boolean} False when what it means can only be had from the server.
   */
  applyEntry(entry, changed = false) {
    this.learn(entry);
    const room = this._rooms.get(entry.room_id);
    if (!room) return true;
    if (changed) return this._applyChange(room, entry);
    // The room itself: its name, topic or picture.
    if (entry.kind === 'room') return false;
    return !isMessage(entry) || this._applyMessage(room, entry);
  }

  /**
   * @param {Room} room
   * @param {Entry} entry
   * @returns {boolean}
   */
  _applyMessage(room, entry) {
    const last = room.last_message;
    if (last?.event_id === entry.event_id) return this._applyChange(room, entry);
    // A late one: whether it was counted already cannot be seen from here.
    if (last && last.order > entry.order) return !this._isUnread(room, entry);
    const unread = this._isUnread(room, entry) ? 1 : 0;
    const mention = unread && this._mentionsMe(entry) ? 1 : 0;
    this.putRoom({
      ...room,
      last_message: entry,
      unread_count: Math.min(MOST_UNREAD, room.unread_count + unread),
      mention_count: Math.min(MOST_UNREAD, room.mention_count + mention),
    });
    return true;
  }

  /**
   * @param {Room} room
   * @param {Entry} entry
   * @returns {boolean}
   */
  _applyChange(room, entry) {
    const last = room.last_message;
    const isLast = last?.event_id === entry.event_id;
    if (isLast && last.revision > entry.revision) return true;
    if (isLast) this.putRoom({ ...room, last_message: entry });
    const isGone = entry.kind === 'deleted';
    const wasCounted = this._isUnread(room, entry) && (isGone || this._mentionsMe(entry));
    return !wasCounted && !(isGone && isLast);
  }

  /**
   * @param {Room} room
   * @param {Entry} entry
   */
  _isUnread(room, entry) {
    const mine = entry.sender.mxid === this.me.mxid;
    return !mine && (room.read_order === null || entry.order > room.read_order);
  }

  /** @param {Entry} entry */
  _mentionsMe({ mentions }) {
    return mentions?.room === true
      || (mentions?.people?.some((person) => person.mxid === this.me.mxid) ?? false);
  }

  /**
   * Takes in what the server has counted.
   *
   * @param {UnreadState} state
   * @returns {boolean} False where more was expected or less: a message may be on its way.
   */
  applyUnread({ room_id, ...state }) {
    const room = this._rooms.get(room_id);
    if (!room) return true;
    this.putRoom({ ...room, ...state });
    return state.unread_count === 0 || state.unread_count === room.unread_count;
  }

  /**
   * Takes in a read mark. One of another person changes nothing here.
   *
   * @param {Receipt} receipt
   * @param {readonly Entry[]} entries What is loaded of the room, ascending, to its end.
   * @returns {boolean} False when the unread count can only be had from the server.
   */
  applyReceipt(receipt, entries) {
    const room = this._rooms.get(receipt.room_id);
    if (!room || receipt.user.mxid !== this.me.mxid) return true;
    if (room.read_order !== null && receipt.order < room.read_order) return true;
    const unread = this._unreadAfter(room, receipt.order, entries);
    this.putRoom({
      ...room,
      read_order: receipt.order,
      marked_unread: false,
      unread_count: Math.min(MOST_UNREAD, unread?.length ?? room.unread_count),
      mention_count: unread?.filter((entry) => this._mentionsMe(entry)).length
        ?? room.mention_count,
    });
    return unread !== null;
  }

  /**
   * @param {Room} room
   * @param {string} order
   * @param {readonly Entry[]} entries
   * @returns {readonly Entry[] | null}
   */
  _unreadAfter(room, order, entries) {
    if (!room.last_message || room.last_message.order <= order) return [];
    if (!entries.length || entries[0].order > order) return null;
    return entries.filter((entry) => entry.order > order && isMessage(entry)
      && entry.sender.mxid !== this.me.mxid);
  }
}

/** @param {Room} room */
function lastTime(room) {
  return room.last_message?.timestamp ?? 0;
}
