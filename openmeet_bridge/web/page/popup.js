/**
 * One small window over the page: a menu, a picker, a list of people. There is at most one. It
 * closes by Escape, by a click elsewhere and when its place goes away; the focus then returns to
 * where it was.
 */

import { h } from './dom.js';

/** Distance (px) from its anchor, and from the edge of the window. */
const GAP = 6;
const EDGE = 8;

/** @type {(() => void) | null} */
let closeOpen = null;

/**
 * @typedef {object} PopupOptions
 * @property {string} label
 * @property {'dialog' | 'menu'} [role]
 * @property {string} [kind] Name for the style sheet.
 * @property {() => void} [onClose]
 * @property {() => HTMLElement | null | undefined} [back] Where the focus returns to, when its
 *   place has been made anew meanwhile.
 */

/**
 * @param {Element} anchor
 * @param {PopupOptions} options
 * @param {...(Node | string)} content
 * @returns {{element: HTMLElement, close: () => void, place: () => void}}
 */
export function openPopup(anchor, options, ...content) {
  closePopup();
  const before = document.activeElement;
  const element = h('div', {
    class: `popup popup--${options.kind ?? 'plain'}`, popover: 'manual', tabindex: '-1',
    role: options.role ?? 'dialog', 'aria-label': options.label,
  }, ...content);
  const box = anchor.getBoundingClientRect();
  const place = () => put(element, anchor.isConnected ? anchor.getBoundingClientRect() : box);
  const listening = new AbortController();
  const close = () => {
    if (closeOpen !== close) return;
    closeOpen = null;
    listening.abort();
    const inside = element.contains(document.activeElement);
    element.remove();
    anchor.removeAttribute('aria-expanded');
    if (inside) back(before, options.back);
    options.onClose?.();
  };
  closeOpen = close;
  document.querySelector('om-app')?.append(element);
  element.showPopover();
  // A message that it belongs to is no control, and has no such state.
  if (anchor instanceof HTMLButtonElement) anchor.setAttribute('aria-expanded', 'true');
  place();
  listen(element, anchor, close, place, listening.signal);
  return { element, close, place };
}

export function closePopup() {
  closeOpen?.();
}

/**
 * @param {HTMLElement} element
 * @param {Element} anchor
 * @param {() => void} close
 * @param {() => void} place
 * @param {AbortSignal} signal
 */
function listen(element, anchor, close, place, signal) {
  element.addEventListener('keydown', (event) => {
    event.stopPropagation();
    if (event.key !== 'Escape' && event.key !== 'Tab') return;
    if (event.key === 'Tab') return keepInside(element, event);
    event.preventDefault();
    close();
    return undefined;
  });
  addEventListener('pointerdown', (event) => {
    const target = /** @type {Node} */ (event.target);
    // The click on its own button closes it there.
    if (!element.contains(target) && !anchor.contains(target)) close();
  }, { capture: true, signal });
  addEventListener('resize', place, { signal });
  addEventListener('hashchange', close, { signal });
}

/**
 * @param {HTMLElement} element
 * @param {KeyboardEvent} event
 */
function keepInside(element, event) {
  const stops = [...element.querySelectorAll('button, input, a, [tabindex="0"]')].filter(
    (one) => one instanceof HTMLElement && one.tabIndex >= 0 && one.offsetParent !== null,
  );
  const first = /** @type {HTMLElement | undefined} */ (stops[0]);
  const last = /** @type {HTMLElement | undefined} */ (stops[stops.length - 1]);
  const here = document.activeElement;
  const leaves = event.shiftKey ? here === first || here === element : here === last;
  if (!leaves && stops.length) return;
  event.preventDefault();
  (event.shiftKey ? last : first)?.focus();
}

/**
 * @param {HTMLElement} element
 * @param {DOMRect} box
 */
function put(element, box) {
  const { offsetWidth: width, offsetHeight: height } = element;
  const below = innerHeight - box.bottom - GAP - EDGE;
  const above = box.top - GAP - EDGE;
  const top = below >= height || below >= above ? box.bottom + GAP : box.top - GAP - height;
  const left = box.left + box.width / 2 - width / 2;
  element.style.top = `${clamp(top, innerHeight - height - EDGE)}px`;
  element.style.left = `${clamp(left, innerWidth - width - EDGE)}px`;
}

/**
 * @param {number} value
 * @param {number} most
 */
function clamp(value, most) {
  return Math.max(EDGE, Math.min(value, most));
}

/**
 * @param {Element | null} before
 * @param {PopupOptions['back']} find
 */
function back(before, find) {
  const place = before instanceof HTMLElement && before.isConnected ? before : find?.();
  place?.focus();
}
