/**
 * Lists about a message, asked for when they are opened.
 *
 * @import { Chat } from '../client/chat.js'
 * @import { Person } from '../client/types.js'
 * @import { FenceOptions } from './fence.js'
 */

import { ApiError } from '../client/api.js';
import { h } from './dom.js';
import { fullTime } from './format.js';
import { formatted } from './message-content.js';
import { personLine } from './people.js';
import { openPopup } from './popup.js';

/** @typedef {() => HTMLElement | null | undefined} Back */

/**
 * @param {Element} anchor
 * @param {string} title
 * @param {Back} back
 * @param {() => Promise<Array<HTMLElement>>} load
 * @param {string} nothing
 */
export async function showList(anchor, title, back, load, nothing) {
  const body = h('div', { class: 'popup__body', role: 'status' }, h('p', { class: 'popup__note' }, 'Loading…'));
  const popup = openPopup(anchor, { label: title, kind: 'list', back },
    h('h3', { class: 'popup__title' }, title), body);
  popup.element.focus();
  try {
    const lines = await load();
    body.replaceChildren(lines.length ? h('ul', { class: 'popup__list' }, ...lines)
      : h('p', { class: 'popup__note' }, nothing));
  } catch (error) {
    const reason = error instanceof ApiError ? error.message : 'It could not be loaded.';
    body.replaceChildren(h('p', { class: 'popup__note', role: 'alert' }, reason));
  }
  popup.place();
}

/**
 * @param {Element} anchor
 * @param {Chat} chat
 * @param {string} roomId
 * @param {string} eventId
 * @param {FenceOptions} fence
 * @param {Back} back
 */
export function showVersions(anchor, chat, roomId, eventId, fence, back) {
  return showList(anchor, 'Earlier versions', back, async () => {
    const { versions } = await chat.api.versions(roomId, eventId);
    return [...versions].reverse().map((version, index) => {
      const { body } = formatted(version, fence);
      const which = index === 0 ? 'Now' : index === versions.length - 1 ? 'At first' : '';
      return h('li', { class: 'version' },
        h('p', { class: 'version__time' }, [which, fullTime(version.timestamp)].filter(Boolean).join(' · ')),
        h('div', { class: 'version__text rich', dir: 'auto' }, ...body));
    });
  }, 'There is none.');
}

/**
 * @param {Element} anchor
 * @param {Chat} chat
 * @param {string} roomId
 * @param {string} eventId
 * @param {Back} back
 */
export function showReaders(anchor, chat, roomId, eventId, back) {
  return showList(anchor, 'Read by', back, async () => {
    const { readers } = await chat.api.readers(roomId, eventId);
    return readers.map(({ user, timestamp }) => personLine(chat, user, fullTime(timestamp)));
  }, 'Nobody has read this yet, or they do not tell.');
}

/**
 * @param {Element} anchor
 * @param {Chat} chat
 * @param {string} roomId
 * @param {string} eventId
 * @param {Back} back
 */
export function showReactions(anchor, chat, roomId, eventId, back) {
  return showList(anchor, 'Reactions', back, async () => {
    const { reactions } = await chat.api.reactions(roomId, eventId);
    return reactions.flatMap(({ key, people }) => people.map((/** @type {Person} */ person) => {
      const line = personLine(chat, person, '');
      line.append(h('bdi', { class: 'person__reaction' }, key));
      return line;
    }));
  }, 'There is none.');
}
