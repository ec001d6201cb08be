/**
 * What a user has done and the server does not have yet: writing, editing, reacting, deleting.
 *
 * @import { Draft, EditDraft } from './types.js'
 */

import { ApiError } from './http.js';

/**
 * `queued`: its turn will come. `sending`: asked the server. `waiting`: the server was not to be
 * had, it is tried again at `retryAt`. `pending`: the server has it and passes it on. `sent`: done.
 * `failed`: refused for good; a person decides. `gone`: taken out of the queue.
 *
 * @typedef {'queued' | 'sending' | 'waiting' | 'pending' | 'sent' | 'failed' | 'gone'} ActionState
 *
 * @typedef {object} Action
 * @property {string} id Of a message or an edit it is the `client_txn_id`.
 * @property {number} seq In this order they are sent.
 * @property {number} version Counts the changes; of two forms the higher is the newer.
 * @property {string} roomId
 * @property {'message' | 'edit' | 'reaction' | 'deletion'} kind
 * @property {string | null} target Event id of what is changed.
 * @property {string | null} about Id of a message of this queue, where the target is one.
 * @property {Draft | null} draft Of a message or an edit.
 * @property {string | null} key Of a reaction.
 * @property {boolean} on Of a reaction: put there, or taken away.
 * @property {string | null} why Of a deletion.
 * @property {number} timestamp
 * @property {ActionState} state
 * @property {boolean} tried The server may have heard of it.
 * @property {number} attempt Tries that have failed so far.
 * @property {number | null} retryAt
 * @property {string | null} eventId
 * @property {string | null} reason Why it failed, or why it waits; a sentence.
 * @property {Record<string, string>} fields What is wrong with which field.
 *
 * @typedef {Pick<Action, 'kind'> & Partial<Pick<Action,
 *   'target' | 'about' | 'draft' | 'key' | 'on' | 'why'>>} Deed
 */

/** Bytes that the draft of one action may take. */
const MOST_BYTES = 65_536;

/**
 * @param {{id: string, seq: number, roomId: string, timestamp: number}} base
 * @param {Deed} deed
 * @returns {Action} A new one, queued.
 */
export function makeAction(base, deed) {
  return {
    ...base, version: 1, target: null, about: null, draft: null, key: null, on: true, why: null,
    ...deed, state: 'queued', tried: false, attempt: 0, retryAt: null, eventId: null, reason: null,
    fields: {},
  };
}

/**
 * @param {Action} action
 * @returns {Deed} What it is, without what became of it.
 */
export function deedOf({ kind, target, about, draft, key, on, why }) {
  return { kind, target, about, draft, key, on, why };
}

/**
 * @param {Action | undefined} action
 * @returns {boolean} True while it can be changed without the server having noticed it.
 */
export function isUntouched(action) {
  return action !== undefined && action.state === 'queued' && !action.tried;
}

/**
 * @param {Draft | null} draft
 * @param {EditDraft} edit
 * @returns {Draft} With other words, and all that an edit cannot change.
 */
export function rewritten(draft, edit) {
  const { kind, reply_to, thread } = draft ?? {};
  const { body, format, mentions, mention_room } = edit;
  const made = { body, format, mentions, mention_room, kind, reply_to, thread };
  // Without those that are undefined, as it is kept and sent.
  return JSON.parse(JSON.stringify(made));
}

/**
 * @param {Draft} draft
 * @throws {ApiError} What is longer than can be kept.
 */
export function checkSize(draft) {
  const bytes = new TextEncoder().encode(JSON.stringify(draft)).length;
  if (bytes <= MOST_BYTES) return;
  throw new ApiError('This message is too long.', {
    errcode: 'M_TOO_LARGE', status: 413, fields: { body: 'is too long' },
  });
}

/**
 * @param {ApiError} error
 * @returns {string} The reason in words, with the fields that it is about.
 */
export function reasonOf(error) {
  const fields = Object.entries(error.fields).map(([name, problem]) => `${name}: ${problem}`);
  return fields.length ? `${error.message} (${fields.join('; ')})` : error.message;
}

/** @returns {string} An id that no other tab or device makes. */
export function newActionId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `w${[...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
