/**
 * @import { Chat } from '../client/chat.js'
 * @import { Person } from '../client/types.js'
 */

import { faceOf } from './avatar.js';
import { h, hidden } from './dom.js';
import { lastSeen } from './format.js';

const STATES = { online: 'online', idle: 'away' };

/**
 * @param {Chat} chat
 * @param {string} mxid
 * @returns {string} Whether somebody is here; empty where it is not known.
 */
export function presenceWords(chat, mxid) {
  const known = chat.presence(mxid);
  if (!known) return '';
  if (known.state === 'online' || known.state === 'idle') return STATES[known.state];
  return known.last_seen === null ? '' : lastSeen(known.last_seen, Date.now());
}

/**
 * @param {string | undefined} state
 * @returns {HTMLElement | null} A dot on a face.
 */
export function presenceDot(state) {
  if (state !== 'online' && state !== 'idle') return null;
  return h('span', { class: `dot dot--${state}`, title: STATES[state] }, hidden(`, ${STATES[state]}`));
}

/**
 * @param {HTMLElement} face
 * @param {string | undefined} state
 */
export function withDot(face, state) {
  return h('span', { class: 'face' }, face, presenceDot(state));
}

/**
 * @param {Chat} chat
 * @param {Person} person
 * @param {string} about
 */
export function personLine(chat, person, about) {
  const words = about || presenceWords(chat, person.mxid);
  return h('li', { class: 'person' },
    withDot(faceOf(person, 'small'), chat.presence(person.mxid)?.state),
    h('span', { class: 'person__text' },
      h('span', { class: 'person__name', dir: 'auto' }, person.name),
      words ? h('span', { class: 'person__about' }, words) : null));
}
