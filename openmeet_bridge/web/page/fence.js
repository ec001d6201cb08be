/**
 * Puts formatted messages into the page. The server has cleaned them; this is a second fence, which
 * trusts the first one nothing: the text is parsed apart from the page, where nothing runs and
 * nothing is fetched, and only what is known to be harmless is made anew.
 *
 * Colours of others are left away: they would be unreadable on one ground or the other.
 */

import { h } from './dom.js';
import { pieces, safe } from './linkify.js';

/** What becomes of an element: the same one, or another that does not disturb the page's outline. */
const MADE = /** @type {Record<string, keyof HTMLElementTagNameMap>} */ ({
  a: 'a', b: 'b', strong: 'strong', i: 'i', em: 'em', u: 'u', s: 's', strike: 's', del: 'del',
  sup: 'sup', sub: 'sub', code: 'code', pre: 'pre', blockquote: 'blockquote', p: 'p', div: 'div',
  span: 'span', font: 'span', ul: 'ul', ol: 'ol', li: 'li', br: 'br', hr: 'hr',
  h1: 'p', h2: 'p', h3: 'p', h4: 'p', h5: 'p', h6: 'p',
  table: 'table', caption: 'caption', thead: 'thead', tbody: 'tbody', tr: 'tr', th: 'th', td: 'td',
  details: 'details', summary: 'summary', img: 'span',
});

/** Whose content is no text for people; of all other unknown elements the text stays. */
const GONE = new Set([
  'script', 'style', 'template', 'iframe', 'frame', 'frameset', 'noframes', 'object', 'embed',
  'applet', 'noscript', 'noembed', 'title', 'head', 'textarea', 'select', 'xmp', 'plaintext',
  'audio', 'video', 'canvas', 'mx-reply',
]);

/** Addresses in these are no links, or are one already. */
const UNLINKED = new Set(['a', 'code', 'pre', 'summary']);

/** What makes a message more than one run of words. */
const BLOCKS = 'p, div, pre, blockquote, ul, ol, hr, table, details';

/** Deeper, or further, than this only the text is taken. */
const DEEPEST = 60;
const MOST_NODES = 20_000;

const XHTML = 'http://www.w3.org/1999/xhtml';

/**
 * @typedef {object} FenceOptions
 * @property {(mxid: string) => string} name What somebody is called.
 * @property {string} me Matrix user id of the reader.
 */

/**
 * @param {string} html
 * @param {FenceOptions} options
 * @returns {{content: DocumentFragment, block: boolean}} `block`: it has paragraphs or the like.
 */
export function fenced(html, options) {
  const parsed = new DOMParser().parseFromString(html, 'text/html');
  const content = document.createDocumentFragment();
  const walk = { left: MOST_NODES, unlinked: 0, options };
  copyAll(parsed.body, content, 0, walk);
  unwrapOnly(content);
  return { content, block: content.querySelector(BLOCKS) !== null };
}

/**
 * @typedef {object} Walk
 * @property {number} left So many nodes are still looked at.
 * @property {number} unlinked In so many elements that want no links.
 * @property {FenceOptions} options
 */

/**
 * @param {Node} from
 * @param {Node} into
 * @param {number} depth
 * @param {Walk} walk
 */
function copyAll(from, into, depth, walk) {
  for (const node of from.childNodes) {
    walk.left -= 1;
    if (walk.left < 0) return;
    if (node.nodeType === Node.TEXT_NODE) copyText(text(node), into, walk.unlinked > 0);
    else if (node instanceof Element || node.nodeType === Node.ELEMENT_NODE) {
      copy(/** @type {Element} */ (node), into, depth, walk);
    }
  }
}

/**
 * @param {Element} element
 * @param {Node} into
 * @param {number} depth
 * @param {Walk} walk
 */
function copy(element, into, depth, walk) {
  const name = element.localName;
  if (element.namespaceURI !== XHTML || GONE.has(name)) return;
  if (depth >= DEEPEST) return void into.appendChild(document.createTextNode(text(element)));
  const made = Object.hasOwn(MADE, name) ? make(element, walk.options) : null;
  if (!made) return copyAll(element, into, depth + 1, walk);
  into.appendChild(made.outer);
  const step = UNLINKED.has(name) ? 1 : 0;
  walk.unlinked += step;
  if (made.inner) copyAll(element, made.inner, depth + 1, walk);
  walk.unlinked -= step;
  return undefined;
}

/**
 * @param {string} words
 * @param {Node} into
 * @param {boolean} unlinked
 */
function copyText(words, into, unlinked) {
  for (const { text: piece, href } of unlinked ? [{ text: words, href: null }] : pieces(words)) {
    into.appendChild(href ? anchor(href, piece) : document.createTextNode(piece));
  }
}

/**
 * @param {string} href
 * @param {string} words
 */
export function anchor(href, words) {
  return h('a', {
    href, title: href === words ? null : href, target: '_blank', rel: 'noopener noreferrer nofollow',
  }, words);
}

/**
 * @param {Element} element
 * @param {FenceOptions} options
 * @returns {{outer: Element, inner: Element | null} | null} Null: only its content.
 */
function make(element, options) {
  const name = element.localName;
  switch (name) {
    case 'a': return link(element, options);
    case 'img': return alone(h('span', { class: 'rich__picture' }, element.getAttribute('alt') || 'picture'));
    case 'span': return element.hasAttribute('data-mx-spoiler') ? spoiler(element) : null;
    case 'font': return null;
    case 'ol': return same(h('ol', { start: start(element) }));
    case 'code': return same(h('code', { class: language(element) }));
    case 'details': return same(h('details'));
    default: break;
  }
  const heading = /^h[1-6]$/u.test(name);
  return same(h(MADE[name], heading ? { class: `rich__heading rich__heading--${name}` } : {}));
}

/** @param {Element} element */
function same(element) {
  return { outer: element, inner: element };
}

/** @param {Element} element */
function alone(element) {
  return { outer: element, inner: null };
}

/**
 * @param {Element} element
 * @param {FenceOptions} options
 */
function link(element, { name, me }) {
  const address = element.getAttribute('href') ?? '';
  const mxid = mentioned(address);
  // Never the words of the sender: they could call somebody by the name of another.
  if (mxid) return alone(pill(name(mxid), mxid === me));
  const href = safe(address) ?? mail(address);
  if (!href) return null;
  return same(anchor(href, ''));
}

/**
 * @param {string} name
 * @param {boolean} own
 */
export function pill(name, own) {
  return h('span', { class: own ? 'pill pill--me' : 'pill' }, h('bdi', {}, `@${name}`));
}

/**
 * @param {string} address
 * @returns {string | null} The Matrix user id that it leads to.
 */
export function mentioned(address) {
  const found = /^(?:https:\/\/matrix\.to\/#\/|matrix:u\/)([^/?]+)/iu.exec(address.trim());
  if (!found) return null;
  try {
    const id = decodeURIComponent(found[1]);
    const mxid = id.startsWith('@') ? id : `@${id}`;
    return /^@[^:\s]+:\S+$/u.test(mxid) && !/^[!#$]/u.test(id) ? mxid : null;
  } catch {
    return null;
  }
}

/** @param {string} address */
function mail(address) {
  return /^mailto:[^\s<>"]+$/iu.test(address) ? address : null;
}

/**
 * Words that are shown when somebody asks for them.
 *
 * @param {Element} element
 */
function spoiler(element) {
  const reason = (element.getAttribute('data-mx-spoiler') ?? '').trim().slice(0, 100);
  const inner = h('span', { class: 'spoiler__text' });
  const button = h('button', {
    type: 'button', class: 'spoiler__button', 'aria-expanded': 'false', tabindex: '-1',
  }, reason ? `Spoiler: ${reason}` : 'Spoiler');
  const outer = h('span', { class: 'spoiler' }, button, h('span', { class: 'spoiler__bar' }, inner));
  outer.addEventListener('click', (event) => {
    const open = outer.classList.contains('spoiler--open');
    if (open && event.target !== button) return;
    outer.classList.toggle('spoiler--open', !open);
    button.setAttribute('aria-expanded', String(!open));
  });
  return { outer, inner };
}

/** @param {Element} element */
function start(element) {
  const number = Number.parseInt(element.getAttribute('start') ?? '', 10);
  return Number.isSafeInteger(number) && Math.abs(number) < 1e6 ? number : null;
}

/** @param {Element} element */
function language(element) {
  const found = /^language-[\w+#.-]{1,30}$/u.exec(element.getAttribute('class') ?? '');
  return found ? found[0] : null;
}

/** @param {Node} node */
function text(node) {
  return node.textContent ?? '';
}

/**
 * One paragraph alone is just its words, so that the time can stand on the same line.
 *
 * @param {DocumentFragment} content
 */
function unwrapOnly(content) {
  const nodes = [...content.childNodes].filter((node) => node instanceof Element || text(node).trim());
  const [only] = nodes;
  if (nodes.length !== 1 || !(only instanceof HTMLParagraphElement) || only.className) return;
  content.replaceChildren(...only.childNodes);
}
