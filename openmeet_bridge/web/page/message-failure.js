/**
 * @import { Change } from '../client/timeline.js'
 * @import { RowActions } from './message-row.js'
 * @import { MessageRow } from './rows.js'
 */

import { h } from './dom.js';

/** @type {Record<string, [string, string]>} What failed, and what waits. */
const CHANGES = {
  edit: ['The edit was not saved.', 'The edit is not saved yet.'],
  reaction: ['The reaction was not sent.', 'The reaction is not sent yet.'],
  deletion: ['It was not deleted.', 'It is not deleted yet.'],
};

/**
 * What becomes of a message, and of changes to it, where that is not simply good.
 *
 * @param {Pick<MessageRow, 'state' | 'reason' | 'txnId' | 'changes'>} part
 * @param {RowActions} actions
 */
export function failures({ state, reason, txnId, changes }, actions) {
  return h('div', { class: 'message__fate' },
    ofMessage(state, reason, txnId, actions),
    ...changes.map((change) => ofChange(change, actions)));
}

/**
 * @param {MessageRow['state']} state
 * @param {string | null} reason
 * @param {string | null} txnId
 * @param {RowActions} actions
 */
function ofMessage(state, reason, txnId, actions) {
  if (state === 'pending') return waits('Kept by the server, and delivered as soon as it can.');
  if (txnId === null || reason === null) return null;
  if (state === 'waiting') return waits(`Not sent yet. ${reason} It is tried again.`);
  return state === 'failed' ? failed(`Not sent. ${reason}`, txnId, actions) : null;
}

/**
 * @param {Change} change
 * @param {RowActions} actions
 */
function ofChange({ id, kind, state, reason }, actions) {
  const [no, notYet] = CHANGES[kind] ?? CHANGES.edit;
  if (state === 'failed') return failed(`${no} ${reason ?? ''}`, id, actions);
  return state === 'waiting' ? waits(`${notYet} ${reason ?? ''} It is tried again.`) : null;
}

/** @param {string} words */
function waits(words) {
  return h('p', { class: 'message__waits' }, words);
}

/**
 * @param {string} words
 * @param {string} id
 * @param {RowActions} actions
 */
function failed(words, id, actions) {
  return h('div', { class: 'message__failure', role: 'alert' },
    h('p', {}, words),
    h('span', { class: 'message__choice' },
      choice('Retry', id, () => actions.retry(id)),
      choice('Discard', id, () => actions.discard(id))));
}

/**
 * @param {string} label
 * @param {string} id
 * @param {() => void} onclick
 */
function choice(label, id, onclick) {
  return h('button', {
    type: 'button', class: 'button', 'data-name': `${label} ${id}`, onclick,
  }, label);
}
