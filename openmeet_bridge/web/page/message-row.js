/**
 * Rows as elements. A message is made of parts, each of which is made anew only when it changes: a
 * read mark that moves closes no spoiler and takes no focus away.
 *
 * @import { Quote, Reaction } from '../client/types.js'
 * @import { FenceOptions } from './fence.js'
 * @import { MessageRow, Row, SystemRow } from './rows.js'
 */

import { faceOf } from './avatar.js';
import { oneLine } from './describe.js';
import { h, hidden, present, reconcile } from './dom.js';
import { clock, fullTime, list, plainName, someOf } from './format.js';
import { icon } from './icons.js';
import { contentOf } from './message-content.js';
import { summary } from './rows.js';
import { failures } from './message-failure.js';

/** So many read marks are shown as faces; the rest is a number. */
const MOST_FACES = 4;
/** More lines than this about changes of the room are folded. */
const FOLD_FROM = 4;

/**
 * @typedef {object} RowActions
 * @property {FenceOptions} fence
 * @property {(id: string) => void} retry
 * @property {(id: string) => void} discard
 * @property {(eventId: string) => void} jump
 * @property {(eventId: string, key: string) => void} react
 * @property {(eventId: string, anchor: HTMLElement) => void} pick Chooses a reaction to add.
 * @property {(eventId: string, anchor: HTMLElement) => void} versions
 * @property {(eventId: string, anchor: HTMLElement) => void} readers
 * @property {boolean} mayReact
 * @property {Set<string>} unfolded Keys of the system rows that are shown in full.
 */

/**
 * @typedef {{key: string, [name: string]: any}} Part
 * @typedef {(part: any, actions: RowActions) => HTMLElement} MakePart
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
    default: break;
  }
  const element = h('li', { tabindex: '-1' });
  fill(element, row, actions);
  return element;
}

/**
 * @param {HTMLElement} element
 * @param {Row} row
 * @param {RowActions} actions
 * @returns {boolean} False: it is to be made anew.
 */
export function updateRow(element, row, actions) {
  if (row.kind !== 'message') return false;
  fill(element, row, actions);
  return true;
}

/**
 * @param {SystemRow} row
 * @param {RowActions} actions
 */
function systemRow(row, actions) {
  const lines = row.lines.map((line) => h('p', { dir: 'auto', 'data-event': line.key }, line.words));
  if (row.lines.length < FOLD_FROM) return h('li', { class: 'system', tabindex: '-1' }, ...lines);
  const details = h('details', { open: actions.unfolded.has(row.key) },
    h('summary', { tabindex: '-1' }, summary(row.lines)), ...lines);
  details.addEventListener('toggle', () => {
    if (details.open) actions.unfolded.add(row.key);
    else actions.unfolded.delete(row.key);
  });
  return h('li', { class: 'system', tabindex: '-1' }, details);
}

/**
 * @param {HTMLElement} element
 * @param {MessageRow} row
 * @param {RowActions} actions
 */
function fill(element, row, actions) {
  const names = ['message', row.mine ? 'message--mine' : 'message--theirs',
    row.first && 'message--first', row.last && 'message--last', `message--${row.content.kind}`,
    row.callsMe && 'message--calls-me', row.state === 'failed' && 'message--failed'];
  const kept = ['message--current', 'message--found'].filter((one) => element.classList.contains(one));
  element.className = [...names.filter(Boolean), ...kept].join(' ');
  element.dataset.event = row.eventId;
  parts(element, [
    !row.mine && { key: 'face', face: row.last ? row.sender : null },
    { key: 'body', row: { ...row, readers: [] } },
    row.readers.length > 0 && { key: 'readers', readers: row.readers, eventId: row.eventId },
  ], OUTER, actions);
}

/**
 * @param {HTMLElement} parent
 * @param {Array<Part | false | null | undefined>} wanted
 * @param {Record<string, MakePart>} makers
 * @param {RowActions} actions
 */
function parts(parent, wanted, makers, actions) {
  const rows = /** @type {Part[]} */ (wanted.filter(Boolean));
  reconcile(parent, rows, (part) => makers[part.key](part, actions), (element, part) => {
    const fillPart = FILL[part.key];
    if (!fillPart) return false;
    fillPart(element, part.row, actions);
    return true;
  });
}

/** @type {Record<string, MakePart>} */
const OUTER = {
  face: ({ face }) => h('span', { class: 'message__face' }, face && faceOf(face, 'small')),
  body: ({ row }, actions) => filled(h('div', { class: 'message__body' }), fillBody, row, actions),
  readers: readersPart,
};

/** @type {Record<string, MakePart>} */
const BODY = {
  name: namePart,
  bubble: ({ row }, actions) => filled(h('div', { class: 'message__bubble' }), fillBubble, row, actions),
  failure: failures,
  reactions: reactionsPart,
};

/** @type {Record<string, MakePart>} */
const BUBBLE = {
  thread: ({ quote }, actions) => quoted(quote, 'thread', actions),
  quote: ({ quote }, actions) => quoted(quote, 'quote', actions),
  content: (part, actions) => contentOf(part, actions.fence),
  meta: metaPart,
};

/** @type {Record<string, (element: HTMLElement, row: MessageRow, actions: RowActions) => void>} */
const FILL = { body: fillBody, bubble: fillBubble };

/**
 * @param {HTMLElement} element
 * @param {(element: HTMLElement, row: MessageRow, actions: RowActions) => void} fillIt
 * @param {MessageRow} row
 * @param {RowActions} actions
 */
function filled(element, fillIt, row, actions) {
  fillIt(element, row, actions);
  return element;
}

/**
 * @param {HTMLElement} element
 * @param {MessageRow} row
 * @param {RowActions} actions
 */
function fillBody(element, row, actions) {
  const { state, reason, txnId, changes, reactions, eventId } = row;
  parts(element, [
    row.content.kind !== 'emote' && { key: 'name', ...nameOf(row) },
    { key: 'bubble', row },
    { key: 'failure', state, reason, txnId, changes },
    reactions.length > 0 && { key: 'reactions', reactions, eventId, may: actions.mayReact },
  ], BODY, actions);
}

/** @param {MessageRow} row */
function nameOf(row) {
  return { shown: row.first && !row.mine, name: row.mine ? 'You' : row.sender.name };
}

/**
 * @param {HTMLElement} element
 * @param {MessageRow} row
 * @param {RowActions} actions
 */
function fillBubble(element, row, actions) {
  // A reply to the thread's first message says the same twice.
  const reply = row.replyTo?.event_id === row.thread?.event_id ? null : row.replyTo;
  parts(element, [
    row.thread && { key: 'thread', quote: row.thread },
    reply && { key: 'quote', quote: reply },
    { key: 'content', content: row.content, sender: row.sender },
    { key: 'meta', time: row.time, edited: row.edited, eventId: row.eventId,
      state: row.mine && row.content.kind !== 'deleted' ? row.state : null },
  ], BUBBLE, actions);
}

/** @param {{shown: boolean, name: string}} part */
function namePart({ shown, name }) {
  if (shown) return h('span', { class: 'message__name', dir: 'auto' }, name);
  return hidden(`${plainName(name)}: `);
}

/**
 * @param {Quote} quote
 * @param {'quote' | 'thread'} kind
 * @param {RowActions} actions
 */
function quoted(quote, kind, actions) {
  const who = quote.sender ? plainName(quote.sender.name) : '';
  const words = quote.text ? oneLine(quote.text) : 'an earlier message';
  const label = kind === 'thread' ? `In a thread: ${who} ${words}` : `In reply to ${who}: ${words}`;
  return h('button', {
    type: 'button', class: `quote quote--${kind}`, tabindex: '-1', 'data-name': kind,
    'aria-label': `${label}. Show it.`, onclick: () => actions.jump(quote.event_id),
  },
  kind === 'thread' ? h('span', { class: 'quote__sign' }, icon('thread'), 'Thread') : null,
  who ? h('span', { class: 'quote__name' }, who) : null,
  h('span', { class: 'quote__text' }, h('bdi', {}, words)));
}

/**
 * @param {{time: number, edited: MessageRow['edited'], state: MessageRow['state'] | null,
 *   eventId: string}} part
 * @param {RowActions} actions
 */
function metaPart({ time, edited, state, eventId }, actions) {
  const button = edited ? h('button', {
    type: 'button', class: 'message__edited', tabindex: '-1', 'data-name': 'edited',
    'aria-haspopup': 'dialog', title: `Edited ${fullTime(edited.timestamp)}`,
    onclick: () => actions.versions(eventId, /** @type {HTMLElement} */ (button)),
  }, 'edited') : null;
  return h('span', { class: 'message__meta' }, button,
    h('time', { datetime: isoTime(time), title: fullTime(time) }, clock(time)),
    state === null ? null : progress(state));
}

/**
 * @param {number} time
 * @returns {string | null}
 */
function isoTime(time) {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

/** @param {MessageRow['state']} state */
function progress(state) {
  if (state === 'failed') return icon('alert');
  const done = state === 'logged' || state === 'sent';
  const words = done ? 'Sent' : 'On its way';
  return h('span', { class: 'message__progress', title: words },
    icon(done ? 'tick' : 'clock'), done ? null : hidden(words));
}

/**
 * @param {{reactions: Reaction[], eventId: string, may: boolean}} part
 * @param {RowActions} actions
 */
function reactionsPart({ reactions, eventId, may }, actions) {
  const add = may ? h('button', {
    type: 'button', class: 'reaction reaction--add', tabindex: '-1', 'data-name': 'add-reaction',
    'aria-label': 'Add a reaction', 'aria-haspopup': 'dialog', title: 'Add a reaction',
    onclick: () => actions.pick(eventId, /** @type {HTMLElement} */ (add)),
  }, icon('smile')) : null;
  return h('div', { class: 'reactions', role: 'group', 'aria-label': 'Reactions' },
    ...reactions.map((one) => reaction(one, eventId, may, actions)), add);
}

/**
 * @param {Reaction} one
 * @param {string} eventId
 * @param {boolean} may
 * @param {RowActions} actions
 */
function reaction({ key, count, people, mine }, eventId, may, actions) {
  const names = someOf(people.map((person) => person.name), count);
  return h('button', {
    type: 'button', class: mine ? 'reaction reaction--mine' : 'reaction', tabindex: '-1',
    'data-name': `reaction ${key}`, 'aria-pressed': String(Boolean(mine)),
    'aria-label': `${oneLine(key)} ${count}: ${names}`, 'aria-disabled': may ? null : 'true',
    onclick: () => may && actions.react(eventId, key),
  },
  h('bdi', { class: 'reaction__key' }, key),
  h('span', { class: 'reaction__count' }, String(count)),
  h('span', { class: 'tip', 'aria-hidden': 'true' }, names));
}

/**
 * @param {{readers: import('../client/types.js').Person[], eventId: string}} part
 * @param {RowActions} actions
 */
function readersPart({ readers, eventId }, actions) {
  const names = list(readers.map((person) => person.name));
  const more = readers.length - MOST_FACES;
  const button = h('button', {
    type: 'button', class: 'readers', title: `Read by ${names}`, tabindex: '-1',
    'data-name': 'readers', 'aria-haspopup': 'dialog', 'aria-label': `Read by ${names}`,
    onclick: () => actions.readers(eventId, button),
  }, ...present(readers.slice(0, MOST_FACES).map((person) => faceOf(person, 'tiny'))),
  more > 0 ? h('span', { class: 'readers__more' }, `+${more}`) : null);
  return button;
}
