/**
 * The actions on their way: as this tab knows them, on the shelf, and in the other tabs.
 *
 * @import { Action } from './action.js'
 * @import { Shelf } from './shelf.js'
 */

/** So many are kept at most. */
const MOST_ACTIONS = 500;
/** Ids of so many that are over are remembered: word of them may still come from other tabs. */
const MOST_OVER = 1000;

/**
 * @typedef {object} Channel What reaches the other tabs.
 * @property {(message: any) => void} postMessage
 *
 * @typedef {(action: Action | undefined) => Action | undefined} Change
 *   Must give the same when it is asked again. Undefined: there is none (any more).
 */

export class Queue {
  /**
   * @param {Shelf} shelf
   * @param {{channel?: Channel | null, onChange: (action: Action) => void}} options
   */
  constructor(shelf, options) {
    this._shelf = shelf;
    this.channel = options.channel ?? null;
    this._onChange = options.onChange;
    /** @type {Map<string, Action>} */
    this._actions = new Map();
    /** @type {Map<string, string | null>} Event ids of those that are over, by id. */
    this._over = new Map();
  }

  /** Reads what an earlier visit or another tab has left. */
  async load() {
    for (const [, action] of await this._shelf.all('actions')) this._adopt(action);
  }

  get full() {
    return this._actions.size >= MOST_ACTIONS;
  }

  /** @returns {Action[]} In the order of sending. */
  all() {
    return [...this._actions.values()]
      .sort((a, b) => a.seq - b.seq || (a.id < b.id ? -1 : 1));
  }

  /** @param {string} id */
  get(id) {
    return this._actions.get(id);
  }

  /**
   * @param {string} id
   * @returns {string | null | undefined} Event id of one that is over; undefined: not known.
   */
  outcome(id) {
    return this._over.get(id);
  }

  /** @param {number} now */
  nextSeq(now) {
    let last = 0;
    for (const action of this._actions.values()) last = Math.max(last, action.seq);
    return Math.max(now, last + 1);
  }

  /** @param {Action} action A new one. */
  add(action) {
    return this.change(action.id, () => action);
  }

  /**
   * Changes an action: at once as far as this tab knows it, then on the shelf as it is there.
   *
   * @param {string} id
   * @param {Change} change
   * @returns {Promise<Action | undefined>} As it is on the shelf afterwards.
   */
  async change(id, change) {
    const before = this._actions.get(id);
    const after = counted(before, change);
    if (after && after !== before) this._put(after);
    const stored = await this._shelf.change('actions', id, (found) => (
      // What is kept in memory is no better than what is known here.
      counted(found ?? (this._shelf.durable ? undefined : before), change)));
    if (stored) this._adopt(stored);
    else this._end(id, 'gone', null);
    if (stored) this.channel?.postMessage({ type: 'action', action: stored });
    return stored;
  }

  /**
   * Takes an action out.
   *
   * @param {string} id
   * @param {'sent' | 'gone'} state
   * @param {string | null} [eventId]
   */
  async end(id, state, eventId = null) {
    this._end(id, state, eventId);
    this.channel?.postMessage({ type: 'over', id, state, eventId });
    await this._shelf.change('actions', id, () => undefined);
  }

  /** @param {any} message What another tab has sent. */
  hear(message) {
    if (message.type === 'action') this._adopt(message.action);
    if (message.type === 'over') this._end(message.id, message.state, message.eventId);
  }

  /** Forgets everything here, not on the shelf, and tells nobody any more. */
  forget() {
    this._actions.clear();
    this.channel = null;
    this._onChange = () => {};
  }

  /** @param {Action} action */
  _adopt(action) {
    const known = this._actions.get(action.id);
    if (this._over.has(action.id) || (known && known.version > action.version)) return;
    if (!known || JSON.stringify(known) !== JSON.stringify(action)) this._put(action);
  }

  /** @param {Action} action */
  _put(action) {
    this._actions.set(action.id, action);
    this._onChange(action);
  }

  /**
   * @param {string} id
   * @param {'sent' | 'gone'} state
   * @param {string | null} eventId
   */
  _end(id, state, eventId) {
    const action = this._actions.get(id);
    if (eventId !== null || !this._over.has(id)) this._over.set(id, eventId);
    if (this._over.size > MOST_OVER) this._over.delete(this._over.keys().next().value ?? '');
    if (!action) return;
    this._actions.delete(id);
    this._onChange({ ...action, state, eventId: eventId ?? action.eventId });
  }
}

/**
 * @param {Action | undefined} action
 * @param {Change} change
 * @returns {Action | undefined}
 */
function counted(action, change) {
  const next = change(action);
  return next && next !== action ? { ...next, version: (action?.version ?? 0) + 1 } : next;
}
