/**
 * @import { Chat } from '../client/chat.js'
 * @import { Entry, Quote } from '../client/types.js'
 */

import { wordsOf } from './words.js';

/** Longest quote (code units); the style sheet cuts it to two lines anyway. */
const MOST = 400;

/** What is known of messages that others quote. Those that are not loaded are asked for, once. */
export class Quotes {
  /**
   * @param {Chat} chat
   * @param {string} roomId
   * @param {() => void} onLearned
   */
  constructor(chat, roomId, onLearned) {
    this._chat = chat;
    this._roomId = roomId;
    this._onLearned = onLearned;
    /** @type {Map<string, Quote>} */
    this._learned = new Map();
  }

  /**
   * @param {Quote} quote
   * @returns {Quote}
   */
  known(quote) {
    const id = quote.event_id;
    const entry = this._chat.timeline(this._roomId)?.get(id);
    if (entry) return asQuote(entry);
    if (quote.kind) return quote;
    const learned = this._learned.get(id);
    if (!learned) void this._ask(id);
    return learned ?? quote;
  }

  /** @param {string} id */
  async _ask(id) {
    this._learned.set(id, { event_id: id });
    try {
      const entry = await this._chat.api.entry(this._roomId, id);
      this._learned.set(id, asQuote(entry));
      this._onLearned();
    } catch {
      // It is not for us to see, or not now: the quote stays without words.
    }
  }
}

/**
 * @param {Entry} entry
 * @returns {Quote}
 */
function asQuote(entry) {
  const { event_id, sender, kind } = entry;
  return { event_id, sender, kind, text: wordsOf(entry).slice(0, MOST) };
}
