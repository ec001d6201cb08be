/** @import { MessageRow, Row, SystemRow } from './rows.js' */

import { faceOf } from './avatar.js';
import { h, hidden } from './dom.js';
import { clock, fullTime, list, plainName } from './format.js';
import { icon } from './icons.js';
import { pieces } from './linkify.js';
import { summary } from './rows.js';

/** So many read marks are shown as faces; the rest is a number. */
const MOST_FACES = 4;
/** More lines than this about changes of the room are folded. */
const FOLD_FROM = 4;

/**
 * @typedef {object} RowActions
 * @property {(txnId: string) => void} retry
 * @property {(txnId: string) => void} discard
 * @property {Set<string>} unfolded Keys of the system rows that are shown in full.
 * @property {() => void} changed
 */

/**
 * @param {Row} row
 * @param {RowActions} actions
 * @returns {HTMLElement}
 */
export function makeRow(row, actions) {
  switch (row.kind) {
    case 'day': return h('li', { class: 'day' }, h('h3', {}, row.label));
    case 'unread': return h('li', { class: 'unread-line' }, h('span', {}, 'New messages'));
    case 'system': return systemRow(row, actions);
    default: return messageRow(row, actions);
  }
}

/**
 * @param {SystemRow} row
 * @param {RowActions} actions
 */
function systemRow(row, actions) {
  const lines = row.lines.map((line) => h('p', {}, line.words));
  if (row.lines.length < FOLD_FROM) return h('li', { class: 'system' }, ...lines);
  const details = h('details', { open: actions.unfolded.has(row.key) },
    h('summary', {}, summary(row.lines)), ...lines);
  details.addEventListener('toggle', () => {
    if (details.open) actions.unfolded.add(row.key);
    else actions.unfolded.delete(row.key);
  });
  return h('li', { class: 'system' }, details);
}

/**
 * @param {MessageRow} row
 * @param {RowActions} actions
 */
function messageRow(row, actions) {
  const classes = ['message', row.mine ? 'message--mine' : 'message--theirs',
    row.first && 'message--first', row.last && 'message--last', `message--${row.manner}`,
    row.state === 'failed' && 'message--failed'];
  return h('li', { class: classes.filter(Boolean).join(' ') },
    row.mine ? null : h('span', { class: 'message__face' },
      row.last ? faceOf(row.sender, 'small') : null),
    h('div', { class: 'message__body' },
      name(row), bubble(row), failure(row, actions)),
    readers(row));
}

/** @param {MessageRow} row */
function name(row) {
  const shown = row.first && !row.mine && row.manner !== 'emote';
  if (shown) return h('span', { class: 'message__name' }, row.sender.name);
  return row.manner === 'emote' ? null : hidden(`${row.mine ? 'You' : plainName(row.sender.name)}: `);
}

/** @param {MessageRow} row */
function bubble(row) {
  const iso = new Date(row.time).toISOString();
  return h('div', { class: 'message__bubble' },
    h('span', { class: 'message__text', dir: 'auto' },
      row.manner === 'emote' ? h('b', {}, `${plainName(row.sender.name)} `) : null,
      ...pieces(row.text).map(linked)),
    h('span', { class: 'message__meta' },
      h('time', { datetime: iso, title: fullTime(row.time) }, clock(row.time)),
      row.mine ? progress(row.state) : null));
}

/** @param {import('./linkify.js').Piece} piece */
function linked({ text, href }) {
  if (!href) return text;
  return h('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow' }, text);
}

/** @param {MessageRow['state']} state */
function progress(state) {
  if (state === 'failed') return icon('alert');
  const done = state === 'logged' || state === 'sent';
  const words = done ? 'Sent' : 'On its way';
  return h('span', { class: 'message__progress', title: words },
    icon(done ? 'tick' : 'clock'), done ? null : hidden(words));
}

/** @param {string} words */
function waits(words) {
  return h('p', { class: 'message__waits' }, words);
}

/**
 * @param {MessageRow} row
 * @param {RowActions} actions
 */
function failure(row, actions) {
  const { txnId } = row;
  if (row.state === 'pending') return waits('Kept by the server, and delivered as soon as it can.');
  if (txnId === null || row.reason === null) return null;
  if (row.state === 'waiting') return waits(`Not sent yet. ${row.reason} It is tried again.`);
  if (row.state !== 'failed') return null;
  return h('div', { class: 'message__failure', role: 'alert' },
    h('p', {}, `Not sent. ${row.reason}`),
    h('button', { type: 'button', class: 'button', onclick: () => actions.retry(txnId) }, 'Retry'),
    h('button', {
      type: 'button', class: 'button', onclick: () => actions.discard(txnId),
    }, 'Discard'));
}

/** @param {MessageRow} row */
function readers(row) {
  if (!row.readers.length) return null;
  const names = list(row.readers.map((person) => person.name));
  const more = row.readers.length - MOST_FACES;
  return h('div', { class: 'readers', title: `Read by ${names}` },
    hidden(`Read by ${names}`),
    ...row.readers.slice(0, MOST_FACES).map((person) => faceOf(person, 'tiny')),
    more > 0 ? h('span', { class: 'readers__more', 'aria-hidden': 'true' }, `+${more}`) : null);
}
