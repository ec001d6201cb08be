/**
 * What is in a bubble: words, or a card for what is more than words.
 *
 * @import { Media } from '../client/types.js'
 * @import { FenceOptions } from './fence.js'
 * @import { Content, MessageRow } from './rows.js'
 */

import { deletedWords, isJumbo, isLong } from './describe.js';
import { h, hidden } from './dom.js';
import { anchor, fenced } from './fence.js';
import { duration, fileSize, plainName } from './format.js';
import { icon } from './icons.js';
import { pieces } from './linkify.js';

/** @type {Record<string, [Parameters<typeof icon>[0], string]>} */
const MEDIA = {
  image: ['image', 'Picture'], video: ['video', 'Video'], audio: ['audio', 'Sound'],
  file: ['file', 'File'], sticker: ['sticker', 'Sticker'],
};

/** @type {Record<string, Parameters<typeof icon>[0]>} */
const MUTED = { encrypted: 'lock', deleted: 'trash', call: 'call' };

/**
 * @typedef {{content: Content, sender: import('../client/types.js').Person}} Said
 */

/**
 * @param {Said} said
 * @param {FenceOptions} fence
 * @returns {HTMLElement}
 */
export function contentOf({ content, sender }, fence) {
  const { kind } = content;
  if (MEDIA[kind]) return mediaCard(content, fence);
  if (kind === 'location') return placeCard(content);
  if (kind === 'poll' && content.poll) return pollCard(content);
  if (MUTED[kind]) {
    const words = kind === 'deleted' ? deletedWords(content.deletion, sender.mxid) : content.text;
    return h('span', { class: 'message__text message__text--muted', dir: 'auto' },
      icon(MUTED[kind]), words);
  }
  return words(content, sender, fence);
}

/**
 * @param {Content} content
 * @param {Said['sender']} sender
 * @param {FenceOptions} fence
 */
function words(content, sender, fence) {
  const emote = content.kind === 'emote';
  const who = emote ? h('b', {}, `${plainName(sender.name)} `) : null;
  const { body, block } = formatted(content, fence);
  const jumbo = !emote && isJumbo(content.text);
  const classes = `message__text${block ? ' rich' : ''}${jumbo ? ' message__text--jumbo' : ''}`;
  const text = h(block ? 'div' : 'span', { class: classes, dir: 'auto' }, who, ...body);
  return isLong(content.text) ? folded(text) : text;
}

/**
 * @param {Pick<Content, 'text' | 'html'>} content
 * @param {FenceOptions} fence
 * @returns {{body: Array<Node | string>, block: boolean}}
 */
export function formatted(content, fence) {
  if (content.html === undefined || content.html === null) {
    return { body: pieces(content.text).map(linked), block: false };
  }
  const { content: body, block } = fenced(content.html, fence);
  return { body: [body], block };
}

/** @param {import('./linkify.js').Piece} piece */
function linked({ text, href }) {
  return href ? anchor(href, text) : text;
}

/** @param {HTMLElement} text */
function folded(text) {
  const clip = h('div', { class: 'fold__clip' }, text);
  const button = h('button', {
    type: 'button', class: 'fold__button', 'aria-expanded': 'false', 'data-name': 'fold',
    onclick: () => {
      const open = fold.classList.toggle('fold--open');
      button.setAttribute('aria-expanded', String(open));
      button.textContent = open ? 'Show less' : 'Show all';
    },
  }, 'Show all');
  const fold = h('div', { class: 'fold' }, clip, button);
  return fold;
}

/**
 * @param {Content} content
 * @param {FenceOptions} fence
 */
function mediaCard({ kind, media, html }, fence) {
  const [sign, label] = MEDIA[kind];
  const words = media?.caption;
  const caption = words ? formatted({ text: words, html }, fence) : null;
  return card(sign,
    h('p', { class: 'card__title', dir: 'auto' }, media?.name || label),
    h('p', { class: 'card__about' }, [label, ...aboutMedia(media)].join(' · ')),
    caption && h('div', {
      class: caption.block ? 'message__text rich' : 'message__text', dir: 'auto',
    }, ...caption.body));
}

/** @param {Media | undefined} media */
function aboutMedia(media) {
  const parts = [];
  if (media?.size) parts.push(fileSize(media.size));
  if (media?.width && media.height) parts.push(`${media.width} × ${media.height}`);
  if (media?.duration) parts.push(duration(media.duration));
  if (media?.encrypted) parts.push('encrypted');
  return parts;
}

/** @param {Content} content */
function placeCard({ place, text }) {
  const title = place?.description || text;
  if (!place) return card('place', h('p', { class: 'card__title', dir: 'auto' }, title));
  const { latitude, longitude } = place;
  const map = new URL('https://www.openstreetmap.org/');
  map.searchParams.set('mlat', String(latitude));
  map.searchParams.set('mlon', String(longitude));
  map.hash = `map=16/${latitude}/${longitude}`;
  return card('place',
    h('p', { class: 'card__title', dir: 'auto' }, title),
    h('p', { class: 'card__about' }, h('a', {
      href: map.href, target: '_blank', rel: 'noopener noreferrer nofollow',
    }, `Show ${latitude.toFixed(4)}, ${longitude.toFixed(4)} on a map`)));
}

/** @param {Content} content */
function pollCard({ poll }) {
  return card('poll',
    h('p', { class: 'card__title', dir: 'auto' }, hidden('Poll: '), poll?.question ?? ''),
    h('ul', { class: 'card__answers' },
      ...(poll?.answers ?? []).map((answer) => h('li', { dir: 'auto' }, answer))),
    h('p', { class: 'card__about' }, 'Votes are given in a Matrix client.'));
}

/**
 * @param {Parameters<typeof icon>[0]} sign
 * @param {...(HTMLElement | null)} content
 */
function card(sign, ...content) {
  return h('div', { class: 'card' }, h('span', { class: 'card__sign' }, icon(sign)),
    h('div', { class: 'card__text' }, ...content));
}
