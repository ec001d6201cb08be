/**
 * Names in what is being written: a pure part, tested without a page.
 *
 * @import { Person } from '../client/types.js'
 */

import { plainName } from './format.js';

/** So many people are offered at once. */
const MOST = 6;

/** Offered where one may call everybody. */
export const EVERYBODY = { mxid: '@room', name: 'room', avatar_url: null, slug: null };

/**
 * @param {string} before What stands before the cursor.
 * @returns {string | null} The begin of a name after an `@`; null: none is being written.
 */
export function begun(before) {
  const found = /(?:^|[\s(])@([\p{L}\p{M}\p{N}._-]{0,30})$/u.exec(before);
  return found ? found[1] : null;
}

/**
 * @param {Person[]} people
 * @param {string} query
 * @returns {Person[]} Those of whose name a word begins so, the best first.
 */
export function matching(people, query) {
  const wanted = query.toLocaleLowerCase();
  const ranked = people.map((person) => ({ person, rank: rankOf(person, wanted) }));
  return ranked.filter(({ rank }) => rank < 3)
    .sort((a, b) => a.rank - b.rank || a.person.name.localeCompare(b.person.name))
    .slice(0, MOST).map(({ person }) => person);
}

/**
 * @param {Person} person
 * @param {string} wanted
 */
function rankOf(person, wanted) {
  const name = person.name.toLocaleLowerCase();
  if (name.startsWith(wanted)) return 0;
  if (name.split(/[\s._-]+/u).some((word) => word.startsWith(wanted))) return 1;
  return person.mxid.slice(1).startsWith(wanted) ? 2 : 3;
}

/**
 * @param {string} text
 * @param {Person[]} people
 * @returns {string[]} Matrix user ids of those whom the text names.
 */
export function mentionsIn(text, people) {
  if (!text.includes('@')) return [];
  let rest = text;
  const found = [];
  // The longest first: `@Ann Lee` is not `@Ann`.
  for (const person of [...people].sort((a, b) => b.name.length - a.name.length)) {
    const name = plainName(person.name).trim();
    const pattern = new RegExp(`(^|[^\\p{L}\\p{N}])@${escaped(name)}(?![\\p{L}\\p{N}])`, 'gu');
    if (!name || !pattern.test(rest)) continue;
    found.push(person.mxid);
    rest = rest.replace(pattern, '$1');
  }
  return found;
}

/** @param {string} text */
export function callsEverybody(text) {
  return /(^|[^\p{L}\p{N}])@room(?![\p{L}\p{N}])/u.test(text);
}

/** @param {string} text */
function escaped(text) {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/gu, '\\$&');
}
