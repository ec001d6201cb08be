/**
 * One's own changes of an entry, shown before the server's form of it has them.
 *
 * @import { Action } from './action.js'
 * @import { Draft, Entry, Person, Quote, Reaction } from './types.js'
 */

/** Letters of a quote, as the server cuts them. */
const MOST_QUOTED = 200;
/** What stands so in a text is not to be read before the reader wants it. */
const COVERED = /\|\|.+?\|\|/gsu;

/**
 * @param {Entry} entry
 * @param {Action[]} actions Changes of it that are on their way.
 * @param {Person | null} me
 * @returns {Entry} As it will be when they have arrived.
 */
export function withChanges(entry, actions, me) {
  let shown = entry;
  for (const action of actions) {
    if (action.state === 'failed' || shown.kind === 'deleted') continue;
    if (action.kind === 'edit' && action.draft) shown = edited(shown, action);
    else if (action.kind === 'deletion') shown = deleted(shown, action, me);
    else if (action.kind === 'reaction' && me) shown = reacted(shown, action, me);
  }
  return shown;
}

/**
 * @param {Entry} entry
 * @param {Action} action Done, as far as the server says.
 * @param {Person | null} me
 * @param {Entry} base The entry when it was begun.
 * @returns {boolean} True when the entry has it, so that nothing is to be laid over it.
 */
export function isReflected(entry, action, me, base) {
  if (entry.kind === 'deleted') return true;
  if (action.kind === 'edit') {
    return (action.eventId !== null && entry.edited?.event_id === action.eventId)
      || (entry.edited?.count ?? 0) > (base.edited?.count ?? 0);
  }
  if (action.kind !== 'reaction') return false;
  const found = entry.reactions?.find((one) => one.key === action.key);
  const isThere = found?.people.some((person) => person.mxid === me?.mxid) ?? false;
  // Of very many people not all are named.
  const isCut = found !== undefined && found.count > found.people.length;
  return isThere === action.on || (action.on && isCut && entry.revision > base.revision);
}

/**
 * @param {Entry} entry
 * @param {Person | null} me
 * @param {(key: string) => boolean} remembered Where the server names only some of the people.
 * @returns {Entry} With `mine` at each reaction.
 */
export function withMine(entry, me, remembered) {
  if (!entry.reactions?.length) return entry;
  const reactions = entry.reactions.map((one) => ({
    ...one,
    mine: one.people.some((person) => person.mxid === me?.mxid)
      || (one.count > one.people.length && remembered(one.key)),
  }));
  return { ...entry, reactions };
}

/**
 * @param {Entry} entry
 * @returns {Quote}
 */
export function quoteOf({ event_id, sender, kind, text, html }) {
  // Only what is formatted has something that is to be covered.
  const open = html === undefined ? text : text.replace(COVERED, '▒▒▒▒');
  const start = letters(open, 2 * MOST_QUOTED).split(/\s+/u).filter(Boolean).join(' ');
  return { event_id, sender, kind, text: letters(start, MOST_QUOTED) };
}

/**
 * @param {Draft} draft
 * @returns {string} Its words.
 */
export function wordsOf(draft) {
  return draft.format === 'html' ? draft.body.replace(/<[^>]*>/gu, '') : draft.body;
}

/**
 * @param {Entry} entry
 * @param {Action} action
 * @returns {Entry}
 */
function edited({ html: _html, mentions: _mentions, ...entry }, { draft, timestamp }) {
  const { event_id = '', count = 0 } = entry.edited ?? {};
  const shown = { ...entry, edited: { event_id, timestamp, count: count + 1 } };
  if (!draft) return shown;
  const text = wordsOf(draft);
  return draft.format === 'html' ? { ...shown, text, html: draft.body } : { ...shown, text };
}

/**
 * @param {Entry} entry
 * @param {Action} action
 * @param {Person | null} me
 * @returns {Entry}
 */
function deleted(entry, action, me) {
  const { event_id, room_id, order, revision, type, sender, timestamp, ...rest } = entry;
  return {
    event_id, room_id, order, revision, type, sender, timestamp,
    kind: 'deleted', text: 'This message was deleted.',
    client_txn_id: rest.client_txn_id,
    reply_to: rest.reply_to,
    thread: rest.thread,
    deletion: { by: me ?? undefined, timestamp: action.timestamp, reason: action.why ?? undefined },
  };
}

/**
 * @param {Entry} entry
 * @param {Action} action
 * @param {Person} me
 * @returns {Entry}
 */
function reacted(entry, { key, on }, me) {
  const all = entry.reactions ?? [];
  const known = all.find((one) => one.key === key);
  if ((known?.mine ?? false) === on || key === null) return entry;
  const people = known?.people.filter((person) => person.mxid !== me.mxid) ?? [];
  /** @type {Reaction} */
  const next = {
    key,
    mine: on,
    count: (known?.count ?? 0) + (on ? 1 : -1),
    people: on ? [...people, me] : people,
  };
  const reactions = known ? all.map((one) => (one === known ? next : one)) : [...all, next];
  return { ...entry, reactions: reactions.filter((one) => one.count > 0) };
}

/**
 * @param {string} text
 * @param {number} most
 * @returns {string} Its first letters; none of them is cut in two.
 */
function letters(text, most) {
  return [...text.slice(0, 2 * most)].slice(0, most).join('');
}
