/**
 * From a timeline to what is shown: a pure function, tested without a page.
 *
 * @import { Entry, Person, Receipt } from '../client/types.js'
 * @import { Echo, Item } from '../client/timeline.js'
 * @import { Name } from './describe.js'
 */

import { isMessage, text } from '../client/message.js';
import { happened, said } from './describe.js';
import { dayKey, dayLabel } from './format.js';

/**
 * @typedef {{kind: 'day', key: string, label: string}} DayRow
 * @typedef {{kind: 'unread', key: string}} UnreadRow
 *
 * @typedef {object} Line
 * @property {string} words
 * @property {'created' | 'joined' | 'invited' | 'other'} what
 * @property {string} whom Matrix user id; empty where it concerns nobody.
 *
 * @typedef {{kind: 'system', key: string, lines: Line[]}} SystemRow
 *
 * @typedef {object} MessageRow
 * @property {'message'} kind
 * @property {string} key
 * @property {string} order Empty for a message that is still on its way.
 * @property {Person} sender
 * @property {boolean} mine
 * @property {boolean} first Opens a group of messages of the same sender.
 * @property {boolean} last
 * @property {string} text
 * @property {'plain' | 'emote' | 'notice' | 'muted'} manner
 * @property {number} time
 * @property {Echo['state'] | 'logged'} state
 * @property {string | null} reason
 * @property {string | null} txnId
 * @property {Person[]} readers Whose newest read mark is here.
 *
 * @typedef {DayRow | UnreadRow | SystemRow | MessageRow} Row
 *
 * @typedef {object} View
 * @property {Person} me
 * @property {Name} name
 * @property {number} now
 * @property {string | null} unreadAfter Order of the last entry that was read; null: no line.
 * @property {Iterable<Receipt>} receipts
 */

/** Messages further apart (ms) than this are not one group. */
const GROUP_WITHIN = 5 * 60_000;

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
  if (isMessage(item.entry)) return messageRow(item.key, item.entry, view);
  const slot = `${item.entry.type} ${item.entry.state_key}`;
  const previous = states.get(slot);
  const before = { previous, create: states.get('m.room.create ') };
  const words = happened(item.entry, view.name, before);
  if (item.entry.state_key !== undefined) states.set(slot, item.entry);
  if (words === null) return null;
  return { kind: 'system', key: item.key, lines: [{ words, ...step(item.entry, previous) }] };
}

/**
 * @param {Entry} entry
 * @param {Entry | undefined} previous
 * @returns {Pick<Line, 'what' | 'whom'>}
 */
function step(entry, previous) {
  if (entry.type === 'm.room.create') return { what: 'created', whom: '' };
  if (entry.type !== 'm.room.member') return { what: 'other', whom: '' };
  const whom = entry.state_key ?? '';
  const membership = text(entry.content.membership);
  if (membership === 'invite') return { what: 'invited', whom };
  const came = membership === 'join' && text(previous?.content.membership) !== 'join';
  return { what: came ? 'joined' : 'other', whom };
}

/**
 * @param {string} key
 * @param {Entry} entry
 * @param {View} view
 * @returns {MessageRow}
 */
function messageRow(key, entry, view) {
  return {
    kind: 'message', key, order: entry.order, sender: entry.sender,
    mine: entry.sender.mxid === view.me.mxid, first: true, last: true, ...said(entry),
    time: entry.timestamp, state: 'logged', reason: null, txnId: null, readers: [],
  };
}

/**
 * @param {string} key
 * @param {Echo} echo
 * @returns {MessageRow}
 */
function echoRow(key, echo) {
  return {
    kind: 'message', key, order: '', sender: echo.sender, mine: true, first: true, last: true,
    text: echo.body, manner: 'plain', time: echo.timestamp, state: echo.state,
    reason: echo.reason, txnId: echo.clientTxnId, readers: [],
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
    && before.manner !== 'emote' && row.manner !== 'emote';
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
  const created = lines.filter((line) => line.what === 'created').length;
  const joined = lines.filter((line) => line.what === 'joined').length;
  const rest = lines.length - created - joined;
  const parts = created ? ['Room created'] : [];
  if (joined) parts.push(joined === 1 ? '1 person joined' : `${joined} people joined`);
  if (rest) parts.push(rest === 1 ? '1 change' : `${rest} changes`);
  return parts.join(' · ');
}
