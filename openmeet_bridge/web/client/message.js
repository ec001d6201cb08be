/** @import { Entry, Kind } from './types.js' */

/** Types of events that the server counts: all else may be shown, but is no news. */
const COUNTED = new Set(['m.room.message', 'm.room.encrypted', 'm.sticker', 'm.poll.start']);
/** @type {Set<Kind>} What a person said, as opposed to what happened to the room. */
const MESSAGES = new Set([
  'text', 'emote', 'notice', 'image', 'video', 'audio', 'file', 'sticker', 'location', 'poll',
  'encrypted', 'unknown',
]);

/**
 * @param {Entry} entry
 * @returns {boolean} True for what counts as unread and stands in the room list.
 */
export function isMessage(entry) {
  return COUNTED.has(entry.type) && MESSAGES.has(entry.kind);
}
