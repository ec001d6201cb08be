/**
 * Words for what is in an entry. Everything in its content may be anything.
 *
 * @import { Entry } from '../client/types.js'
 */

import { isMessage, text } from '../client/message.js';
import { plainName } from './format.js';

/** @typedef {(mxid: string) => string} Name */

/** Settings of a room that concern machines; none of them is worth a line. */
const SILENT = new Set([
  'm.room.redaction', 'm.room.canonical_alias', 'm.room.aliases', 'm.room.guest_access',
  'm.room.power_levels', 'm.room.server_acl', 'm.space.child', 'm.space.parent', 'm.reaction',
]);

const ATTACHMENTS = new Map([
  ['m.image', 'Picture'], ['m.file', 'File'], ['m.audio', 'Sound'], ['m.video', 'Video'],
  ['m.location', 'Place'],
]);

/**
 * @typedef {object} Said
 * @property {string} text
 * @property {'plain' | 'emote' | 'notice' | 'muted'} manner Muted: our words, not theirs.
 */

/**
 * @param {Entry} entry
 * @returns {Said} What a message says.
 */
export function said(entry) {
  if (entry.redacted) return { text: 'This message was deleted.', manner: 'muted' };
  if (entry.type === 'm.room.encrypted') {
    return { text: 'This message is encrypted and cannot be shown here.', manner: 'muted' };
  }
  const body = text(entry.content.body);
  const kind = text(entry.content.msgtype);
  const label = entry.type === 'm.sticker' ? 'Sticker' : ATTACHMENTS.get(kind);
  if (label) return { text: body ? `${label}: ${body}` : label, manner: 'muted' };
  if (!body.trim()) return { text: 'This message has no text.', manner: 'muted' };
  if (kind === 'm.emote') return { text: body, manner: 'emote' };
  return { text: body, manner: kind === 'm.notice' ? 'notice' : 'plain' };
}

/**
 * @param {Entry} entry
 * @param {Name} name
 * @param {boolean} withSender
 * @returns {string} One line for the room list.
 */
export function preview(entry, name, withSender) {
  const { text: words, manner } = said(entry);
  const line = words.slice(0, 200).replace(/\s+/gu, ' ');
  const who = plainName(name(entry.sender.mxid));
  if (manner === 'emote') return `${who} ${line}`;
  return withSender ? `${who}: ${line}` : line;
}

/**
 * What was known before an entry.
 *
 * @typedef {object} Before
 * @property {Entry} [previous] The same state as it was.
 * @property {Entry} [create] How the room began.
 */

/**
 * @param {Entry} entry
 * @param {Name} name
 * @param {Before} [before]
 * @returns {string | null} A line about what happened; null: nothing worth telling.
 */
export function happened(entry, name, before = {}) {
  if (isMessage(entry) || SILENT.has(entry.type) || setsUp(entry, before)) return null;
  const who = plainName(name(entry.sender.mxid));
  const { content } = entry;
  switch (entry.type) {
    case 'm.room.member': return membership(entry, name, before.previous);
    case 'm.room.create': return 'This room was created';
    case 'm.room.name':
      return text(content.name) ? `${who} named this room “${text(content.name)}”`
        : `${who} removed the name of this room`;
    case 'm.room.topic':
      return text(content.topic) ? `${who} set the topic to “${text(content.topic)}”`
        : `${who} removed the topic`;
    case 'm.room.avatar': return `${who} changed the picture of this room`;
    case 'm.room.join_rules': return `${who} changed who may join`;
    case 'm.room.history_visibility': return `${who} changed who may read the history`;
    case 'm.room.pinned_events': return `${who} changed the pinned messages`;
    case 'm.room.encryption': return `${who} turned on encryption; messages cannot be read here`;
    case 'm.room.tombstone': return `${who} replaced this room by a new one`;
    default: return other(entry, who);
  }
}

/**
 * @param {Entry} entry
 * @param {Before} before
 * @returns {boolean} True for how a room was first furnished, which is no change of anything.
 */
function setsUp(entry, { previous, create }) {
  if (!create || previous || entry.state_key === undefined || entry === create) return false;
  const byCreator = entry.sender.mxid === create.sender.mxid;
  return byCreator && (entry.type !== 'm.room.member' || entry.state_key === create.sender.mxid);
}

/**
 * @param {Entry} entry
 * @param {string} who
 */
function other(entry, who) {
  if (entry.redacted) return null;
  if (entry.state_key !== undefined) return `${who} changed a setting of this room`;
  const body = text(entry.content.body);
  return body ? `${who}: ${body}` : `${who} sent something that cannot be shown here`;
}

/**
 * @param {Entry} entry
 * @param {Name} name
 * @param {Entry | undefined} previous
 */
function membership(entry, name, previous) {
  const target = entry.state_key ?? '';
  const called = plainName(text(entry.content.displayname) || entry.subject?.name || name(target));
  const by = plainName(name(entry.sender.mxid));
  const own = target === entry.sender.mxid;
  const before = text(previous?.content.membership);
  switch (entry.content.membership) {
    case 'join': return before === 'join' ? profile(entry, previous, called) : `${called} joined`;
    case 'invite': return `${by} invited ${called}`;
    case 'ban': return `${by} banned ${called}`;
    case 'knock': return `${called} asks to join`;
    case 'leave': return left(called, by, own, before);
    default: return null;
  }
}

/**
 * @param {string} called
 * @param {string} by
 * @param {boolean} own
 * @param {string} before
 */
function left(called, by, own, before) {
  if (before === 'ban') return `${by} lifted the ban of ${called}`;
  if (before === 'invite') {
    return own ? `${called} declined the invitation` : `${by} withdrew the invitation of ${called}`;
  }
  return own ? `${called} left` : `${by} removed ${called}`;
}

/**
 * @param {Entry} entry
 * @param {Entry | undefined} previous
 * @param {string} called
 */
function profile(entry, previous, called) {
  const old = plainName(text(previous?.content.displayname));
  if (old && old !== called) return `${old} is now called ${called}`;
  if (previous?.content.avatar_url !== entry.content.avatar_url) {
    return `${called} changed their picture`;
  }
  return null;
}
