/**
 * From a timeline to what is shown: a pure function, tested without a page.
 *
 * @import { Entry, Person, Quote, Reaction, Receipt } from '../client/types.js'
 * @import { Change, Echo, Item } from '../client/timeline.js'
 */

import { isEvent } from './describe.js';
import { dayKey, dayLabel } from './format.js';

/**
 * @typedef {{kind: 'day', key: string, label: string}} DayRow
 * @typedef {{kind: 'unread', key: string}} UnreadRow
 *
 * @typedef {object} Line
 * @property {string} key
 * @property {string} words
 * @property {'created' | 'joined' | 'left' | 'invited' | 'other'} what
 * @property {string} whom Matrix user id; empty where it concerns nobody.
 *
 * @typedef {{kind: 'system', key: string, lines: Line[]}} SystemRow
 *
 * @typedef {Pick<Entry, 'kind' | 'text' | 'html' | 'media' | 'place' | 'poll' | 'deletion'>} Content
 *
 * @typedef {object} MessageRow
 * @property {'message'} kind
 * @property {string} key
 * @property {string} eventId Empty for a message that is still on its way.
 * @property {string} order Empty likewise.
 * @property {Person} sender
 * @property {boolean} mine
 * @property {boolean} first Opens a group of messages of the same sender.
 * @property {boolean} last
 * @property {boolean} callsMe Somebody else names the reader, or everybody.
 * @property {Content} content
 * @property {number} time
 * @property {Echo['state'] | 'logged'} state
 * @property {string | null} reason
 * @property {string | null} txnId
 * @property {Quote | null} replyTo
 * @property {Quote | null} thread
 * @property {{count: number, timestamp: number} | null} edited
 * @property {Reaction[]} reactions
 * @property {Change[]} changes Own changes of it that are on their way or have failed.
 * @property {Person[]} readers Whose newest read mark is here.
 *
 * @typedef {DayRow | UnreadRow | SystemRow | MessageRow} Row
 *
 * @typedef {object} View
 * @property {Person} me
 * @property {number} now
 * @property {string | null} unreadAfter Order of the last entry that was read; null: no line.
 * @property {Iterable<Receipt>} receipts
 * @property {(quote: Quote) => Quote} [known] A quote with what is known of it by now.
 */

/** Messages further apart (ms) than this are not one group. */
const GROUP_WITHIN = 5 * 60_000;

/** Kinds that stand for themselves, however close to others. */
const ALONE = new Set(['emote', 'deleted']);

/**
 * @param {Item[]} items
 * @param {View} view
 * @returns {Row[]}
 */
export function buildRows(items, view) {
  /** @type {Row[]} */
  const rows = [];
  /** @type {Map<string, Entry>} */
  const states = new Map();
  let day = '';
  let lined = view.unreadAfter === null;
  for (const item of items) {
    const row = rowOf(item, view, states);
    if (!row) continue;
    const time = item.entry?.timestamp ?? item.echo?.timestamp ?? 0;
    if (dayKey(time) !== day) {
      day = dayKey(time);
      rows.push({ kind: 'day', key: `day ${day} ${row.key}`, label: dayLabel(time, view.now) });
    }
    if (!lined && isUnread(row, view)) {
      lined = true;
      rows.push({ kind: 'unread', key: 'unread' });
    }
    push(rows, row);
  }
  placeReaders(rows, view);
  return rows;
}

/**
 * @param {Row} row
 * @param {View} view
 */
function isUnread(row, view) {
  return row.kind === 'message' && !row.mine && row.order !== ''
    && row.order > (view.unreadAfter ?? '');
}

/**
 * @param {Item} item
 * @param {View} view
 * @param {Map<string, Entry>} states
 * @returns {SystemRow | MessageRow | null}
 */
function rowOf(item, view, states) {
  if (item.echo) return echoRow(item.key, item.echo);
  const { entry } = item;
  if (!isEvent(entry.kind)) {
    return { ...messageRow(item.key, entry, view), changes: item.actions };
  }
  const slot = `${entry.type} ${entry.state_key}`;
  const previous = states.get(slot);
  const quiet = setsUp(entry, previous, states.get('m.room.create '));
  if (entry.state_key !== undefined) states.set(slot, entry);
  if (quiet) return null;
  const line = { key: entry.event_id, words: entry.text, ...step(entry, previous) };
  return { kind: 'system', key: item.key, lines: [line] };
}

/**
 * @param {Entry} entry
 * @param {Entry | undefined} previous The same state as it was.
 * @param {Entry | undefined} create How the room began.
 * @returns {boolean} True for how a room was first furnished, which is no change of anything.
 */
function setsUp(entry, previous, create) {
  if (!create || previous || entry.state_key === undefined) return false;
  const byCreator = entry.sender.mxid === create.sender.mxid;
  return byCreator && (entry.kind !== 'member' || entry.state_key === create.sender.mxid);
}

/**
 * @param {Entry} entry
 * @param {Entry | undefined} previous
 * @returns {Pick<Line, 'what' | 'whom'>}
 */
function step(entry, previous) {
  if (entry.type === 'm.room.create') return { what: 'created', whom: '' };
  if (entry.kind !== 'member') return { what: 'other', whom: '' };
  const whom = entry.subject?.mxid ?? entry.state_key ?? '';
  switch (entry.membership) {
    case 'invite': return { what: 'invited', whom };
    case 'join': return { what: previous?.membership === 'join' ? 'other' : 'joined', whom };
    case 'leave': return { what: previous?.membership === 'invite' ? 'other' : 'left', whom };
    default: return { what: 'other', whom };
  }
}

/**
 * @param {string} key
 * @param {Entry} entry
 * @param {View} view
 * @returns {MessageRow}
 */
function messageRow(key, entry, view) {
  const mine = entry.sender.mxid === view.me.mxid;
  const { kind, text, html, media, place, poll, deletion, mentions } = entry;
  const named = mentions?.room || mentions?.people?.some((one) => one.mxid === view.me.mxid);
  return {
    kind: 'message', key, eventId: entry.event_id, order: entry.order, sender: entry.sender, mine,
    first: true, last: true, callsMe: !mine && Boolean(named), time: entry.timestamp,
    content: { kind, text, html, media, place, poll, deletion },
    state: 'logged', reason: null, txnId: null,
    replyTo: quoteOf(entry.reply_to, view), thread: quoteOf(entry.thread, view), edited: entry.edited ?? null,
    reactions: entry.reactions ?? [], changes: [], readers: [],
  };
}

/**
 * @param {Quote | undefined} quote
 * @param {View} view
 */
function quoteOf(quote, view) {
  return quote ? view.known?.(quote) ?? quote : null;
}

/**
 * @param {string} key
 * @param {Echo} echo
 * @returns {MessageRow}
 */
function echoRow(key, echo) {
  return {
    kind: 'message', key, eventId: '', order: '', sender: echo.sender, mine: true,
    first: true, last: true, callsMe: false, time: echo.timestamp,
    content: { kind: echo.draft.kind ?? 'text', text: echo.text },
    state: echo.state, reason: echo.reason, txnId: echo.clientTxnId, replyTo: echo.replyTo,
    thread: null, edited: null, reactions: [], changes: [], readers: [],
  };
}

/**
 * Adds a row, as a part of what came before it where that fits.
 *
 * @param {Row[]} rows
 * @param {SystemRow | MessageRow} row
 */
function push(rows, row) {
  const before = rows[rows.length - 1];
  if (row.kind === 'system' && before?.kind === 'system') {
    for (const line of row.lines) tell(before, line);
    return;
  }
  if (row.kind === 'message' && before?.kind === 'message' && grouped(before, row)) {
    before.last = false;
    row.first = false;
  }
  rows.push(row);
}

/**
 * @param {SystemRow} row
 * @param {Line} line
 */
function tell(row, line) {
  const settles = line.what === 'joined';
  row.lines = row.lines.filter((one) => !(settles && one.what === 'invited' && one.whom === line.whom));
  row.lines.push(line);
}

/**
 * @param {MessageRow} before
 * @param {MessageRow} row
 */
function grouped(before, row) {
  return before.sender.mxid === row.sender.mxid
    && Math.abs(row.time - before.time) < GROUP_WITHIN
    && !ALONE.has(before.content.kind) && !ALONE.has(row.content.kind);
}

/**
 * @param {Row[]} rows
 * @param {View} view
 */
function placeReaders(rows, view) {
  /** @type {MessageRow[]} */
  const logged = [];
  for (const row of rows) if (row.kind === 'message' && row.order !== '') logged.push(row);
  for (const receipt of view.receipts) {
    if (receipt.user.mxid === view.me.mxid) continue;
    const row = logged.findLast((one) => one.order <= receipt.order);
    // That somebody has read what they wrote themselves goes without saying.
    if (row && row.sender.mxid !== receipt.user.mxid) row.readers.push(receipt.user);
  }
}

/**
 * @param {Line[]} lines
 * @returns {string} One line for many.
 */
export function summary(lines) {
  /** @param {Line['what']} what */
  const count = (what) => lines.filter((line) => line.what === what).length;
  const [created, joined, left] = [count('created'), count('joined'), count('left')];
  const rest = lines.length - created - joined - left;
  const parts = created ? ['Room created'] : [];
  if (joined) parts.push(joined === 1 ? '1 person joined' : `${joined} people joined`);
  if (left) parts.push(left === 1 ? '1 person left' : `${left} people left`);
  if (rest) parts.push(rest === 1 ? '1 change' : `${rest} changes`);
  return parts.join(' · ');
}
