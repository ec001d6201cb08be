/** @import { ConnectionState } from '../client/stream.js' */

import { h } from './dom.js';

/** A try that takes less (ms) than this is not worth a banner. */
const PATIENCE = 800;

/** @type {Record<string, string>} */
const REASONS = {
  token_expired: 'Your session has ended.',
  too_many_streams: 'This account is open in too many places. Close one of them.',
  removed: 'This account may not use the chat any more.',
};

/** The banner that says what the connection is really like. */
export class OmConnection extends HTMLElement {
  connectedCallback() {
    /** @type {ConnectionState['phase'] | ''} */
    this._shown = '';
    this._words = h('span', { role: 'status' });
    // The seconds run beside the announced text: nobody wants to hear them count.
    this._count = h('span', { 'aria-hidden': 'true', class: 'connection__count' });
    this._buttons = h('span', { class: 'connection__buttons' });
    this.replaceChildren(this._words, this._count, this._buttons);
    this.hidden = true;
  }

  disconnectedCallback() {
    clearInterval(this._ticker);
    clearTimeout(this._patience);
  }

  /**
   * @param {ConnectionState} state
   * @param {{tryNow: () => void, signIn: () => void}} actions
   */
  show(state, actions) {
    clearTimeout(this._patience);
    clearInterval(this._ticker);
    if (state.phase === 'connecting' && this._shown === '') {
      this._patience = setTimeout(() => this._render(state, actions), PATIENCE);
      return;
    }
    this._render(state, actions);
  }

  /**
   * @param {ConnectionState} state
   * @param {{tryNow: () => void, signIn: () => void}} actions
   */
  _render(state, actions) {
    const fine = state.phase === 'live' || state.phase === 'idle';
    const words = fine ? '' : wordsFor(state);
    if (this._words?.textContent !== words) this._words?.replaceChildren(words);
    this._shown = fine ? '' : state.phase;
    this.dataset.phase = state.phase;
    this.hidden = fine;
    this._offer(state, actions);
    this._tick(state.retryAt);
    if (state.retryAt !== null) {
      this._ticker = setInterval(() => this._tick(state.retryAt), 250);
    }
  }

  /**
   * @param {ConnectionState} state
   * @param {{tryNow: () => void, signIn: () => void}} actions
   */
  _offer(state, actions) {
    const buttons = [];
    if (state.phase !== 'connecting') buttons.push(button('Try now', actions.tryNow));
    if (state.phase === 'denied') buttons.push(button('Sign in again', actions.signIn));
    this._buttons?.replaceChildren(...buttons);
  }

  /** @param {number | null} retryAt */
  _tick(retryAt) {
    const seconds = retryAt === null ? 0 : Math.max(1, Math.ceil((retryAt - Date.now()) / 1000));
    const words = retryAt === null ? '' : `Next try in ${seconds} s.`;
    if (this._count?.textContent !== words) this._count?.replaceChildren(words);
  }
}

/** @param {ConnectionState} state */
function wordsFor(state) {
  switch (state.phase) {
    case 'connecting': return 'Connecting…';
    case 'offline': return 'You are offline. What you write is sent when you are back.';
    case 'resting': return 'Paused, as nobody was here for a long time.';
    case 'denied': return REASONS[state.reason ?? ''] ?? `The server refused: ${state.reason}`;
    default: return state.reason === 'shutdown' ? 'The server is restarting.' : 'Connection lost.';
  }
}

/**
 * @param {string} words
 * @param {() => void} onclick
 */
function button(words, onclick) {
  return h('button', { type: 'button', class: 'button', onclick }, words);
}

customElements.define('om-connection', OmConnection);
