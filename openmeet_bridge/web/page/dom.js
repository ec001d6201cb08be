/**
 * @typedef {Node | string | null | undefined | false} Child
 *
 * @typedef {Record<string, string | number | boolean | null | undefined
 *   | ((event: any) => void)>} Attributes
 */

/**
 * Makes an element. Text only ever becomes text nodes, so nothing in it can turn into markup.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes] A function is a listener: `onclick`.
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  element.append(...present(children));
  return element;
}

/**
 * @param {Child[]} children
 * @returns {Array<Node | string>}
 */
export function present(children) {
  /** @type {Array<Node | string>} */
  const kept = [];
  for (const child of children) if (child) kept.push(child);
  return kept;
}

/**
 * @param {string} words Read by a screen reader, not shown.
 */
export function hidden(words) {
  return h('span', { class: 'visually-hidden' }, words);
}

/**
 * Makes the children of `parent` equal to the rows, keeping elements whose row is the same: focus,
 * selection and scroll position survive.
 *
 * @template {{key: string}} Row
 * @param {Element} parent
 * @param {Row[]} rows
 * @param {(row: Row) => HTMLElement} make
 * @param {(element: HTMLElement, row: Row) => boolean} [update] Changes an element in place; false
 *   where it has to be made anew.
 */
export function reconcile(parent, rows, make, update = () => false) {
  const wanted = new Set(rows.map((row) => row.key));
  /** @type {Map<string, HTMLElement>} */
  const known = new Map();
  for (const child of /** @type {HTMLElement[]} */ ([...parent.children])) {
    const key = child.dataset.key;
    // What has no key is not ours: a toolbar that lies over a message.
    if (key === undefined) continue;
    if (wanted.has(key)) known.set(key, child);
    else child.remove();
  }
  let next = parent.firstElementChild;
  for (const row of rows) {
    const old = known.get(row.key);
    const element = current(old, row, make, update);
    if (old && next === old) next = element;
    if (element === next) next = element.nextElementSibling;
    else place(parent, element, next);
  }
}

/**
 * Puts an element in its place. A browser takes the focus from whatever is moved.
 *
 * @param {Element} parent
 * @param {HTMLElement} element
 * @param {Element | null} next
 */
function place(parent, element, next) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const inside = element.contains(focused);
  parent.insertBefore(element, next);
  if (inside) focused?.focus({ preventScroll: true });
}

/** @type {WeakMap<Element, string>} What each element was made from. */
const versions = new WeakMap();

/**
 * @template {{key: string}} Row
 * @param {HTMLElement | undefined} old
 * @param {Row} row
 * @param {(row: Row) => HTMLElement} make
 * @param {(element: HTMLElement, row: Row) => boolean} update
 * @returns {HTMLElement}
 */
function current(old, row, make, update) {
  const version = JSON.stringify(row);
  if (old && versions.get(old) === version) return old;
  const kept = old !== undefined && update(old, row);
  const element = kept ? old : make(row);
  element.dataset.key = row.key;
  versions.set(element, version);
  if (old && !kept) replace(old, element);
  return element;
}

/**
 * @param {HTMLElement} old
 * @param {HTMLElement} element
 */
function replace(old, element) {
  const focused = document.activeElement;
  const inside = old.contains(focused);
  const name = focused instanceof HTMLElement ? focused.dataset.name : undefined;
  const stop = focused instanceof HTMLElement ? focused.tabIndex : -1;
  old.replaceWith(element);
  if (!inside) return;
  const same = name === undefined ? null : element.querySelector(`[data-name="${CSS.escape(name)}"]`);
  const place = /** @type {HTMLElement | null} */ (same ?? element.querySelector('a, button'));
  if (place) place.tabIndex = stop;
  place?.focus();
}
