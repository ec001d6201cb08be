/**
 * Which of several tabs of one user does what only one may do.
 *
 * @import { Clock } from './types.js'
 * @import { Shelf } from './shelf.js'
 */

/** A lease lasts so long (ms); it is renewed three times meanwhile. */
const LEASE = 15_000;

/**
 * @typedef {object} LeaderOptions
 * @property {string} name The same in all the tabs.
 * @property {string} owner Different in each of them.
 * @property {Shelf} shelf
 * @property {Pick<LockManager, 'request'> | null} locks Null: the browser has none.
 * @property {Clock} clock
 * @property {() => void} onLead
 */

/** Leads when no other tab does: by a lock of the browser, else by a lease on the shelf. */
export class Leader {
  /** @param {LeaderOptions} options */
  constructor(options) {
    this._options = options;
    this.leading = false;
    this._stopped = false;
    /** @type {(() => void) | null} Gives the lock back. */
    this._release = null;
    this._waiting = new AbortController();
    /** @type {any} */
    this._timer = null;
  }

  start() {
    const { locks, shelf } = this._options;
    if (!shelf.durable) this.lead();
    else if (locks) void this._byLock(locks);
    else void this._byLease();
  }

  /** Leads from now on, whatever others do: there is nobody to share with. */
  lead() {
    if (this.leading || this._stopped) return;
    this.leading = true;
    this._options.onLead();
  }

  stop() {
    const wasLeading = this.leading;
    this._stopped = true;
    this.leading = false;
    this._waiting.abort();
    this._release?.();
    this._options.clock.clearTimeout(this._timer);
    if (wasLeading && !this._options.locks && this._options.shelf.durable) void this._giveBack();
  }

  /** @param {Pick<LockManager, 'request'>} locks */
  async _byLock(locks) {
    try {
      await locks.request(this._options.name, { signal: this._waiting.signal }, () => {
        this.lead();
        return new Promise((resolve) => { this._release = () => resolve(undefined); });
      });
    } catch {
      // Either it was stopped, or locks are forbidden here.
      if (!this._stopped) await this._byLease();
    }
  }

  async _byLease() {
    if (this._stopped) return;
    const { shelf, owner, clock } = this._options;
    const now = clock.now();
    const held = await shelf.change('lease', 'sender', (lease) => (
      lease && lease.owner !== owner && lease.until > now ? lease : { owner, until: now + LEASE }
    ));
    if (this._stopped) return;
    if (held.owner === owner) this.lead();
    // A tab that slept for too long has lost it meanwhile.
    else this.leading = false;
    this._timer = clock.setTimeout(() => void this._byLease(), LEASE / 3);
  }

  async _giveBack() {
    const { shelf, owner } = this._options;
    await shelf.change('lease', 'sender', (lease) => (lease?.owner === owner ? undefined : lease));
  }
}
