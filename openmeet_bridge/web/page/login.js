/** @import { DemoUser } from '../client/types.js' */

import { ApiError } from '../client/api.js';
import { avatar } from './avatar.js';
import { h } from './dom.js';
import { icon } from './icons.js';

/**
 * The first screen: whom to be.
 *
 * @typedef {object} LoginHandlers
 * @property {(user: DemoUser) => Promise<void>} onDemo
 * @property {(token: string, tenant: string | null) => Promise<void>} onToken
 */
export class OmLogin extends HTMLElement {
  /**
   * @param {DemoUser[] | null} users Null: no demo, a token is needed.
   * @param {LoginHandlers} handlers
   * @param {string | null} notice Why one is here again.
   */
  show(users, handlers, notice) {
    this._problem = h('p', { class: 'login__problem', role: 'alert' }, notice);
    const body = users ? this._choice(users, handlers) : this._form(handlers);
    const text = users
      ? 'Choose who you want to be. Open a second window as somebody else, and talk.'
      : 'Sign in with a token of your OpenMeet community.';
    this.replaceChildren(h('main', { class: 'login', id: 'main' },
      h('header', { class: 'login__head' },
        h('span', { class: 'login__mark' }, icon('chat')),
        h('h1', {}, 'OpenMeet chat'),
        h('p', {}, text)),
      this._problem,
      body));
  }

  /**
   * @param {DemoUser[]} users
   * @param {LoginHandlers} handlers
   */
  _choice(users, handlers) {
    const tenants = new Map(users.map((user) => [user.tenant, user.tenant_name]));
    return h('div', { class: 'login__tenants' }, ...[...tenants].map(([id, name]) => h(
      'section', { class: 'login__tenant', 'aria-label': name },
      h('h2', {}, name),
      h('ul', { class: 'login__users' }, ...users.filter((user) => user.tenant === id)
        .map((user) => h('li', {}, this._user(user, handlers)))),
    )));
  }

  /**
   * @param {DemoUser} user
   * @param {LoginHandlers} handlers
   */
  _user(user, handlers) {
    return h('button', {
      type: 'button', class: 'login__user', onclick: () => this._try(() => handlers.onDemo(user)),
    }, avatar({ name: user.name, url: null }), h('span', {}, user.name));
  }

  /** @param {LoginHandlers} handlers */
  _form(handlers) {
    const token = h('input', {
      id: 'token', type: 'password', required: true, autocomplete: 'off', spellcheck: 'false',
      'aria-describedby': 'token-hint',
    });
    const tenant = h('input', {
      id: 'tenant', autocomplete: 'organization', spellcheck: 'false', autocapitalize: 'off',
      'aria-describedby': 'tenant-hint',
    });
    /** @param {Event} event */
    const onsubmit = (event) => {
      event.preventDefault();
      void this._try(() => handlers.onToken(token.value.trim(), tenant.value.trim() || null));
    };
    return h('form', { class: 'login__form', onsubmit },
      h('label', { for: 'token' }, 'Access token'), token,
      h('p', { id: 'token-hint' }, 'The JWT that OpenMeet gave you when you signed in there: the '
        + '“token” of its sign-in answer. It stays in the memory of this tab and in a cookie '
        + 'that scripts cannot read.'),
      h('label', { for: 'tenant' }, 'Community (tenant id)'), tenant,
      h('p', { id: 'tenant-hint' }, 'May be left empty when the token names it.'),
      h('button', { type: 'submit', class: 'button button--main' }, 'Sign in'));
  }

  /** @param {() => Promise<void>} enter */
  async _try(enter) {
    if (this.getAttribute('aria-busy') === 'true') return;
    this.setAttribute('aria-busy', 'true');
    this._problem?.replaceChildren();
    try {
      await enter();
    } catch (error) {
      const reason = error instanceof ApiError ? error.message : 'Something went wrong.';
      this._problem?.replaceChildren(`That did not work: ${reason}`);
    } finally {
      this.setAttribute('aria-busy', 'false');
    }
  }
}

customElements.define('om-login', OmLogin);
