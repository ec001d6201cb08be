/**
 * Rooms, people, unread counts: a pure model of what the room list shows.
 *
 * @import { Entry, Person, Receipt, Room } from './types.js'
 */

import { isMessage, text } from './message.js';

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

  /** @returns {number} Unread messages in all rooms. */
  unreadTotal() {
    let total = 0;
    for (const room of this._rooms.values()) total += room.unread_count;
    return total;
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
  }

  /**
   * Takes in an entry of the stream: last message, unread count, name and picture of the room.
   *
   * @param {Entry} entry
   */
  applyEntry(entry) {
    this.learn(entry);
    const room = this._rooms.get(entry.room_id);
    if (!room) return;
    if (isMessage(entry)) this._applyMessage(room, entry);
    else if (entry.type === 'm.room.redaction') this._applyRedaction(room, entry);
    else if (entry.state_key === '') this._applyState(room, entry);
  }

  /**
   * @param {Room} room
   * @param {Entry} entry
   */
  _applyMessage(room, entry) {
    const last = room.last_message;
    if (last && last.event_id !== entry.event_id && last.order > entry.order) return;
    const isNew = last?.event_id !== entry.event_id;
    const unread = isNew && this._isUnread(room, entry);
    this.putRoom({
      ...room,
      last_message: entry,
      unread_count: Math.min(MOST_UNREAD, room.unread_count + (unread ? 1 : 0)),
    });
  }

  /**
   * @param {Room} room
   * @param {Entry} entry
   */
  _isUnread(room, entry) {
    const mine = entry.sender.mxid === this.me.mxid;
    return !mine && (room.read_order === null || entry.order > room.read_order);
  }

  /**
   * @param {Room} room
   * @param {Entry} entry
   */
  _applyRedaction(room, entry) {
    const last = room.last_message;
    if (!last || last.event_id !== entry.content.redacts) return;
    this.putRoom({ ...room, last_message: { ...last, content: {}, redacted: true } });
  }

  /**
   * @param {Room} room
   * @param {Entry} entry
   */
  _applyState(room, entry) {
    const { name, topic } = entry.content;
    if (entry.type === 'm.room.name' && name) this.putRoom({ ...room, name: String(name) });
    if (entry.type === 'm.room.topic') this.putRoom({ ...room, topic: topic ? String(topic) : null });
  }

  /**
   * Takes in a read mark. One of another person changes nothing here.
   *
   * @param {Receipt} receipt
   * @param {readonly Entry[]} entries What is loaded of the room, ascending.
   * @returns {boolean} False when the unread count can only be had from the server.
   */
  applyReceipt(receipt, entries) {
    const room = this._rooms.get(receipt.room_id);
    if (!room || receipt.user.mxid !== this.me.mxid) return true;
    if (room.read_order !== null && receipt.order <= room.read_order) return true;
    const count = this._unreadAfter(room, receipt.order, entries);
    this.putRoom({
      ...room,
      read_order: receipt.order,
      unread_count: count ?? room.unread_count,
    });
    return count !== null;
  }

  /**
   * @param {Room} room
   * @param {string} order
   * @param {readonly Entry[]} entries
   * @returns {number | null}
   */
  _unreadAfter(room, order, entries) {
    if (!room.last_message || room.last_message.order <= order) return 0;
    if (!entries.length || entries[0].order > order) return null;
    const unread = entries.filter((entry) => entry.order > order && isMessage(entry)
      && entry.sender.mxid !== this.me.mxid);
    return Math.min(MOST_UNREAD, unread.length);
  }
}

/** @param {Room} room */
function lastTime(room) {
  return room.last_message?.timestamp ?? 0;
}
