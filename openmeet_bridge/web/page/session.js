/**
 * Who this tab is. A token is held in memory only; the browser keeps it in a cookie that no script
 * can read. What is remembered by name is just the tenant and the user.
 *
 * @import { DemoUser } from '../client/types.js'
 */

import { Api, ApiError } from '../client/api.js';

const REMEMBERED = 'openmeet-user';

/** @typedef {{tenant: string | null, slug: string}} Who */

export class Session {
  constructor() {
    /** @type {string | null} */
    this._token = null;
    /** @type {Who | null} Set when the token can be had anew from the demo. */
    this._demo = null;
    this.api = new Api({ token: (options) => this._supply(options) });
    this._others = new BroadcastChannel('openmeet-session');
    this._others.onmessage = () => {
      // The cookie is somebody else's now. A tab that lives on it must find out whose.
      if (this._token === null) location.reload();
    };
  }

  /** @returns {Promise<DemoUser[] | null>} Null: this is not a demo. */
  async demoUsers() {
    try {
      return (await new Api({ token: () => null }).demo()).users;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return null;
      throw error;
    }
  }

  /**
   * Goes on with the cookie of an earlier visit in this tab.
   *
   * @param {Who | null} wanted Null: whoever the cookie stands for.
   * @returns {Promise<boolean>}
   */
  async resume(wanted) {
    const known = remembered();
    if (!known || (wanted && (wanted.slug !== known.slug || wanted.tenant !== known.tenant))) {
      return false;
    }
    this.api.tenant = known.tenant;
    try {
      const { tenant, user } = await this.api.me();
      if (wanted && user.slug !== wanted.slug) return false;
      remember({ tenant: tenant.id, slug: user.slug ?? '' });
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.temporary) throw error;
      return false;
    }
  }

  /** @param {DemoUser} user */
  async enterDemo(user) {
    this._demo = { tenant: user.tenant, slug: user.slug };
    await this.enter(user.jwt, user.tenant);
  }

  /**
   * @param {string} token
   * @param {string | null} tenant Null: the token says it.
   */
  async enter(token, tenant) {
    this._token = token;
    this.api.tenant = tenant;
    try {
      const me = await this.api.me();
      this.api.tenant = me.tenant.id;
      await this._keep(token, { tenant: me.tenant.id, slug: me.user.slug ?? '' });
    } catch (error) {
      this._token = null;
      throw error;
    }
  }

  /**
   * @param {string} token
   * @param {Who} who
   */
  async _keep(token, who) {
    try {
      await this.api.openSession(token);
      remember(who);
      this._others.postMessage('changed');
    } catch {
      // This tab has its token; it only does not outlast a reload.
    }
  }

  async leave() {
    sessionStorage.removeItem(REMEMBERED);
    try {
      await this.api.closeSession();
    } finally {
      this._token = null;
      this._demo = null;
    }
  }

  /** @param {{renew: boolean}} options */
  async _supply({ renew }) {
    if (renew && this._demo) await this._renew(this._demo);
    return this._token;
  }

  /** @param {Who} who */
  async _renew(who) {
    const users = await this.demoUsers();
    const same = users?.find((user) => user.tenant === who.tenant && user.slug === who.slug);
    if (same) this._token = same.jwt;
  }
}

/** @returns {Who | null} */
function remembered() {
  try {
    const found = JSON.parse(sessionStorage.getItem(REMEMBERED) ?? 'null');
    return typeof found?.slug === 'string' ? found : null;
  } catch {
    return null;
  }
}

/** @param {Who} who */
function remember(who) {
  sessionStorage.setItem(REMEMBERED, JSON.stringify(who));
}
