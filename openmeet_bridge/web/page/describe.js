/**
 * Entries in words. What somebody wrote or what happened is in `text`; the server has made it.
 *
 * @import { Entry } from '../client/types.js'
 */

import { plainName } from './format.js';

/** Kinds that are lines about a room, not something that somebody said. */
const EVENTS = new Set(['member', 'room', 'unknown']);

/** Longest (code units) that a preview can be before it is cut by the style sheet anyway. */
const PREVIEW = 200;

/** @param {string} kind */
export function isEvent(kind) {
  return EVENTS.has(kind);
}

/**
 * @param {string} words
 * @returns {string} On one line, and not endless.
 */
export function oneLine(words) {
  return [...words.slice(0, PREVIEW * 2)].slice(0, PREVIEW).join('').replace(/\s+/gu, ' ').trim();
}

/**
 * @param {Entry} entry
 * @param {string} who What its sender is called here.
 * @param {boolean} withSender
 * @param {string} [words] What it says, where that is not simply its text.
 * @returns {string} One line for the room list.
 */
export function preview(entry, who, withSender, words = entry.text) {
  const line = oneLine(words);
  if (isEvent(entry.kind)) return line;
  if (entry.kind === 'emote') return `${plainName(who)} ${line}`;
  return withSender ? `${plainName(who)}: ${line}` : line;
}

/** @typedef {{by?: {name: string, mxid: string} | null, reason?: string | null}} Deleted */

/**
 * @param {Deleted | undefined} deletion
 * @param {string} sender Matrix user id of who had written it.
 * @returns {string}
 */
export function deletedWords(deletion, sender) {
  const by = deletion?.by;
  const own = !by || by.mxid === sender;
  const who = own ? 'This message was deleted' : `${plainName(by.name)} deleted this message`;
  return deletion?.reason ? `${who}: “${oneLine(deletion.reason)}”` : `${who}.`;
}

/** Nothing but pictures: at least one, and no more than a few. */
const PICTURES = /^(?:\p{Extended_Pictographic}|\p{Emoji_Modifier}|\p{Regional_Indicator}|\u200d|\ufe0f|\s)+$/u;
const MOST_PICTURES = 6;

/**
 * @param {string} words
 * @returns {boolean} True for a few emoji and nothing else: they are shown larger.
 */
export function isJumbo(words) {
  if (words.length > 80 || !PICTURES.test(words) || !/\S/u.test(words)) return false;
  const segments = new Intl.Segmenter('en').segment(words.replace(/\s/gu, ''));
  return [...segments].length <= MOST_PICTURES;
}

/** A message longer than this (code units, lines) is folded. */
const FOLD_LENGTH = 1800;
const FOLD_LINES = 22;

/**
 * @param {string} words
 * @returns {boolean}
 */
export function isLong(words) {
  return words.length > FOLD_LENGTH || words.split('\n', FOLD_LINES + 1).length > FOLD_LINES;
}
