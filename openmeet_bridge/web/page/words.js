/** @import { Entry } from '../client/types.js' */

/** Where words of different paragraphs would touch. */
const BREAKS = 'p, div, li, br, pre, blockquote, td, th, h1, h2, h3, h4, h5, h6';

/** @type {WeakMap<object, string>} */
const known = new WeakMap();

/**
 * What a message says, for a line about it: without the marks of what it was written in, and
 * without what its writer hides.
 *
 * @param {Pick<Entry, 'kind' | 'text' | 'html'>} entry
 * @returns {string}
 */
export function wordsOf(entry) {
  // Of a file only the caption is formatted; its text names the file as well.
  if (!entry.html || !['text', 'emote', 'notice'].includes(entry.kind)) return entry.text;
  const found = known.get(entry) ?? (inWords(entry.html) || entry.text);
  known.set(entry, found);
  return found;
}

/** @param {string} html */
function inWords(html) {
  // Parsed apart from the page: nothing in it runs or is fetched, and only text comes out.
  const { body } = new DOMParser().parseFromString(html, 'text/html');
  for (const secret of body.querySelectorAll('[data-mx-spoiler]')) secret.textContent = '▒▒▒▒';
  for (const one of body.querySelectorAll('script, style, mx-reply')) one.remove();
  for (const one of body.querySelectorAll(BREAKS)) one.after(' ');
  return (body.textContent ?? '').replace(/\s+/gu, ' ').trim();
}
