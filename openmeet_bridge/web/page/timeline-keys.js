/**
 * The keyboard and the toolbar of the timeline. One row at a time is in the tab order, and with it
 * what is in that row; arrows move. The toolbar goes to the row under the pointer, or to the one
 * that has the focus.
 *
 * @import { MessageActions } from './message-actions.js'
 */

import { h } from './dom.js';
import { icon } from './icons.js';

/** What stays in the tab order wherever it is: somebody has to decide something. */
const ALWAYS = '.message__failure button';
const CONTROLS = 'a, button, summary';

export class TimelineKeys {
  /**
   * @param {HTMLElement} list
   * @param {MessageActions} actions
   * @param {{onLeave: () => void, onStart: () => void}} host
   */
  constructor(list, actions, host) {
    this._list = list;
    this._actions = actions;
    this._host = host;
    /** @type {string | null} Key of the row that is in the tab order. */
    this._key = null;
    this._tools = this._makeTools();
    list.addEventListener('keydown', (event) => this._onKey(event));
    list.addEventListener('focusin', (event) => this._onFocus(event));
    list.addEventListener('focusout', () => this._list.querySelector('.message--current')
      ?.classList.remove('message--current'));
    // A move, not an entry: what scrolls by below a pointer that rests is not meant.
    list.addEventListener('pointermove', (event) => this._hover(event.target));
    list.addEventListener('pointerleave', () => this._hover(null));
  }

  _makeTools() {
    /**
     * @param {Parameters<typeof icon>[0]} sign
     * @param {string} label
     * @param {(eventId: string, anchor: HTMLElement) => void} act
     */
    const tool = (sign, label, act) => h('button', {
      type: 'button', class: 'tools__button', tabindex: '-1', 'aria-label': label, title: label,
      onclick: (/** @type {MouseEvent} */ event) => {
        const row = this._tools.closest('li');
        const button = /** @type {HTMLElement} */ (event.currentTarget);
        if (row instanceof HTMLElement) act(row.dataset.event ?? '', button);
      },
    }, icon(sign));
    this._react = tool('smile', 'React', (id, anchor) => this._actions.pick(id, anchor));
    this._reply = tool('reply', 'Reply', (id) => this._actions.reply(id));
    this._more = tool('more', 'More', (id, anchor) => this._actions.menu(id, anchor));
    return h('div', { class: 'tools', role: 'group', 'aria-label': 'Actions' },
      this._react, this._reply, this._more);
  }

  /** @returns {HTMLElement[]} */
  get rows() {
    return /** @type {HTMLElement[]} */ ([...this._list.querySelectorAll(':scope > li[tabindex]')]);
  }

  /** @param {string} eventId */
  rowOf(eventId) {
    const found = this._list.querySelector(`[data-event="${CSS.escape(eventId)}"]`);
    return /** @type {HTMLElement | null} */ (found?.closest('li') ?? null);
  }

  /** Puts things right after the rows have changed. `had`: the focus was among them before. */
  refresh(had = false) {
    const rows = this.rows;
    const chosen = rows.find((row) => row.dataset.key === this._key) ?? rows[rows.length - 1];
    for (const row of rows) this._enable(row, row === chosen);
    if (had && !this._list.contains(document.activeElement)) chosen?.focus({ preventScroll: true });
  }

  /**
   * @param {HTMLElement} row
   * @param {boolean} on
   */
  _enable(row, on) {
    const stop = on ? 0 : -1;
    if (row.tabIndex !== stop) row.tabIndex = stop;
    for (const control of /** @type {NodeListOf<HTMLElement>} */ (row.querySelectorAll(CONTROLS))) {
      const tool = this._tools.contains(control);
      const wanted = tool ? -1 : control.matches(ALWAYS) ? 0 : stop;
      if (control.tabIndex !== wanted) control.tabIndex = wanted;
    }
  }

  /** @param {FocusEvent} event */
  _onFocus(event) {
    const row = rowAt(event.target);
    if (!row) return;
    const key = row.dataset.key ?? null;
    if (key !== this._key) {
      this._key = key;
      this.refresh();
    }
    row.classList.add('message--current');
    this._attach(row);
  }

  /** @param {EventTarget | null} target */
  _hover(target) {
    const row = rowAt(target) ?? rowAt(document.activeElement);
    if (row && row === this._tools.parentElement) return;
    if (row && this._list.contains(row)) this._attach(row);
    else this._tools.remove();
  }

  /** @param {HTMLElement} row */
  _attach(row) {
    const entry = this._actions.entry(row.dataset.event ?? '');
    const body = row.querySelector('.message__bubble');
    if (!entry || !body) return void this._tools.remove();
    if (this._react) this._react.hidden = !this._actions.mayReact(entry);
    if (this._reply) this._reply.hidden = !this._actions.mayReply(entry);
    if (this._tools.parentElement !== row) row.append(this._tools);
    const [bubble, box] = [body.getBoundingClientRect(), row.getBoundingClientRect()];
    const width = this._tools.offsetWidth;
    const mine = row.classList.contains('message--mine');
    const left = mine ? bubble.left - 8 : bubble.right - width + 8;
    this._tools.style.left = `${Math.max(0, Math.min(left - box.left, box.width - width))}px`;
    this._tools.style.top = `${bubble.top - box.top - 22}px`;
    return undefined;
  }

  /** @param {KeyboardEvent} event */
  _onKey(event) {
    const row = rowAt(event.target);
    if (!row || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const done = this._move(event, row) || (event.target === row && this._act(event, row));
    if (!done) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * @param {KeyboardEvent} event
   * @param {HTMLElement} row
   */
  _move(event, row) {
    if (event.key === 'Escape') {
      this._host.onLeave();
      return true;
    }
    const rows = this.rows;
    const here = rows.indexOf(row);
    const target = {
      ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: rows.length - 1,
    }[event.key];
    if (target === undefined) return false;
    if (target < 0) this._host.onStart();
    const next = rows[Math.max(0, Math.min(target, rows.length - 1))];
    next?.focus({ preventScroll: true });
    next?.scrollIntoView({ block: 'nearest' });
    return true;
  }

  /**
   * @param {KeyboardEvent} event
   * @param {HTMLElement} row
   */
  _act(event, row) {
    const id = row.dataset.event ?? '';
    switch (event.key) {
      case 'Enter': this._open(row, id); return true;
      case 'r': case 'R': this._actions.reply(id); return true;
      case 'e': case 'E': this._actions.edit(id); return true;
      case '+': this._actions.pick(id, row.querySelector('.message__bubble') ?? row); return true;
      case 'Delete': void this._actions.remove(id); return true;
      default: return false;
    }
  }

  /**
   * @param {HTMLElement} row
   * @param {string} id
   */
  _open(row, id) {
    const details = row.querySelector('details');
    if (!id && details) details.open = !details.open;
    else if (id) this._actions.menu(id, row.querySelector('.message__bubble') ?? row);
  }

  /** @param {HTMLElement} row */
  focus(row) {
    row.focus({ preventScroll: true });
  }

  /** Moves the focus to the newest row. */
  focusLast() {
    const rows = this.rows;
    rows[rows.length - 1]?.focus();
  }
}

/**
 * @param {EventTarget | null} target
 * @returns {HTMLElement | null}
 */
function rowAt(target) {
  const row = target instanceof Element ? target.closest('.timeline__list > li[tabindex]') : null;
  return row instanceof HTMLElement ? row : null;
}
