/** @import { Person } from '../client/types.js' */

import { faceOf } from './avatar.js';
import { h } from './dom.js';
import { icon } from './icons.js';
import { EVERYBODY, begun, matching } from './mentions.js';

/** The people that are offered while somebody writes `@` and a few letters. */
export class MentionList {
  /**
   * @param {HTMLTextAreaElement} area
   * @param {() => Promise<Person[]>} people
   */
  constructor(area, people) {
    this._area = area;
    this._people = people;
    /** @type {Person[]} */
    this._found = [];
    this._active = 0;
    this._asked = 0;
    this.element = h('ul', {
      class: 'mentions', role: 'listbox', id: 'mentions', 'aria-label': 'People to mention',
      hidden: true,
    });
    area.setAttribute('aria-autocomplete', 'list');
    area.setAttribute('aria-haspopup', 'listbox');
  }

  get open() {
    return !this.element.hidden;
  }

  /** Looks at what stands before the cursor. */
  async look() {
    const query = begun(this._area.value.slice(0, this._area.selectionStart));
    this._asked += 1;
    const mine = this._asked;
    if (query === null) return this.close();
    const people = await this._people();
    if (mine !== this._asked || document.activeElement !== this._area) return undefined;
    this._found = matching(people, query);
    this._active = 0;
    return this._found.length ? this._render() : this.close();
  }

  close() {
    this.element.hidden = true;
    this._area.removeAttribute('aria-activedescendant');
    this._area.removeAttribute('aria-controls');
  }

  /**
   * @param {KeyboardEvent} event
   * @returns {boolean} True when the key was for the list.
   */
  takes(event) {
    if (!this.open || event.isComposing) return false;
    const count = this._found.length;
    switch (event.key) {
      case 'ArrowDown': this._active = (this._active + 1) % count; break;
      case 'ArrowUp': this._active = (this._active + count - 1) % count; break;
      case 'Enter': case 'Tab': this._choose(this._found[this._active]); return true;
      case 'Escape': this.close(); return true;
      default: return false;
    }
    this._render();
    return true;
  }

  _render() {
    this.element.replaceChildren(...this._found.map((person, index) => h('li', {
      role: 'option', id: `mention-${index}`, class: 'mentions__one',
      'aria-selected': String(index === this._active),
      onpointerdown: (/** @type {Event} */ event) => {
        event.preventDefault();
        this._choose(person);
      },
    }, person === EVERYBODY ? h('span', { class: 'mentions__all' }, icon('bell')) : faceOf(person, 'small'),
    h('span', { class: 'mentions__name', dir: 'auto' },
      person === EVERYBODY ? '@room – everybody here' : person.name))));
    this.element.hidden = false;
    this._area.setAttribute('aria-controls', 'mentions');
    this._area.setAttribute('aria-activedescendant', `mention-${this._active}`);
  }

  /** @param {Person} person */
  _choose(person) {
    const end = this._area.selectionStart;
    const start = this._area.value.lastIndexOf('@', end - 1);
    this.close();
    this._area.setRangeText(`@${person.name} `, start, end, 'end');
    this._area.dispatchEvent(new Event('input', { bubbles: true }));
  }
}
