/** @import { Entry, Kind } from './types.js' */

/** @type {Set<Kind>} What a person said, as opposed to what happened to the room. */
const MESSAGES = new Set([
  'text', 'emote', 'notice', 'image', 'video', 'audio', 'file', 'sticker', 'location', 'poll',
  'call', 'encrypted',
]);

/**
 * @param {Entry} entry
 * @returns {boolean} True for what counts as unread and stands in the room list.
 */
export function isMessage(entry) {
  return MESSAGES.has(entry.kind);
}
