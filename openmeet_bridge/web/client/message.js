/** @import { Entry } from './types.js' */

const MESSAGES = new Set(['m.room.message', 'm.room.encrypted', 'm.sticker']);

/**
 * @param {Entry} entry
 * @returns {boolean} True for what a person said, as opposed to what happened to the room.
 */
export function isMessage(entry) {
  return MESSAGES.has(entry.type) && entry.state_key === undefined;
}

/**
 * @param {unknown} value
 * @returns {string} The value when it is text, else nothing.
 */
export function text(value) {
  return typeof value === 'string' ? value : '';
}
