import { h } from './dom.js';
import { hue, initials } from './format.js';
import { safe } from './linkify.js';

/** So many colours are in the style sheet. */
const COLOURS = 8;

/**
 * The colour comes from the name: so a direct chat has that of the person.
 *
 * @param {{name: string, url: string | null}} whose
 * @param {'small' | 'middle' | 'large' | 'tiny'} [size]
 * @returns {HTMLElement} Decoration: the name stands beside it.
 */
export function avatar({ name, url }, size = 'middle') {
  const colour = `avatar--c${hue(name, COLOURS)}`;
  const element = h('span', { class: `avatar avatar--${size} ${colour}`, 'aria-hidden': 'true' });
  element.append(initials(name));
  const source = url === null ? null : pictureUrl(url);
  if (source) element.append(picture(source));
  return element;
}

/** @param {string} source */
function picture(source) {
  const image = h('img', { src: source, alt: '', loading: 'lazy', draggable: 'false' });
  // The initials lie below it.
  image.addEventListener('error', () => image.remove());
  return image;
}

/** @param {string} url */
function pictureUrl(url) {
  if (url.startsWith('data:image/')) return url;
  return safe(new URL(url, document.baseURI).href);
}

/**
 * @param {import('../client/types.js').Person} person
 * @param {'small' | 'middle' | 'large' | 'tiny'} [size]
 */
export function faceOf(person, size) {
  return avatar({ name: person.name, url: person.avatar_url }, size);
}
