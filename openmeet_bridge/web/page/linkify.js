// Nothing that turns the writing direction: an address must not read as another one.
const CANDIDATE = /\bhttps?:\/\/[^\s<>"\u0000-\u001f\u200e\u200f\u202a-\u202e\u2066-\u2069]+/giu;
const CLOSERS = new Map([[')', '('], [']', '['], ['}', '{']]);

/**
 * @typedef {{text: string, href: string | null}} Piece
 */

/**
 * Finds the addresses in a text. Only http and https, and only what the URL parser takes.
 *
 * @param {string} text
 * @returns {Piece[]} Together they are the text again.
 */
export function pieces(text) {
  /** @type {Piece[]} */
  const found = [];
  let end = 0;
  for (const match of text.matchAll(CANDIDATE)) {
    const address = trimmed(match[0]);
    const href = safe(address);
    if (!href) continue;
    if (match.index > end) found.push({ text: text.slice(end, match.index), href: null });
    found.push({ text: address, href });
    end = match.index + address.length;
  }
  if (end < text.length) found.push({ text: text.slice(end), href: null });
  return found;
}

/**
 * @param {unknown} address
 * @returns {string | null} Null: not to be followed.
 */
export function safe(address) {
  try {
    const url = new URL(String(address));
    return url.protocol === 'https:' || url.protocol === 'http:' ? url.href : null;
  } catch {
    return null;
  }
}

/**
 * @param {string} address
 * @returns {string} Without the punctuation of the sentence around it.
 */
function trimmed(address) {
  // Counted once: an address of nothing but brackets must not take time by the square.
  const counts = new Map([...CLOSERS].flat().map((letter) => [letter, count(address, letter)]));
  let end = address.length;
  for (; end > 0; end -= 1) {
    const last = address[end - 1];
    const opener = CLOSERS.get(last);
    const stray = opener !== undefined && (counts.get(last) ?? 0) > (counts.get(opener) ?? 0);
    if (!stray && !'.,;:!?\'"»*_'.includes(last)) break;
    counts.set(last, (counts.get(last) ?? 0) - 1);
  }
  return address.slice(0, end);
}

/**
 * @param {string} text
 * @param {string} letter
 * @returns {number}
 */
function count(text, letter) {
  return text.split(letter).length - 1;
}
