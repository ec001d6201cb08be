/**
 * Loading the pages of timelines: one request at a time in each room.
 *
 * @import { Api } from './api.js'
 * @import { Entry, TimelinePage, TimelineRange } from './types.js'
 */

import { ApiError } from './http.js';
import { Timeline } from './timeline.js';

/**
 * @typedef {'first' | 'before' | 'after' | 'replace'} Where
 *
 * @typedef {object} PagesOptions
 * @property {Pick<Api, 'timeline'>} api
 * @property {number} pageSize Entries to ask for at once.
 * @property {(roomId: string) => number} unread How many are unread, for the first page.
 * @property {(roomId: string) => Timeline} make
 * @property {(timeline: Timeline, page: TimelinePage) => void} onPage
 */

/** The longest first page, and how much of what is read stands before what is not. */
const MOST_FIRST = 150;
const FEW = 10;

export class Pages {
  /** @param {PagesOptions} options */
  constructor(options) {
    this._options = options;
    /** @type {Map<string, Timeline>} */
    this.timelines = new Map();
    /** @type {Map<string, {where: Where, promise: Promise<TimelinePage | null>}>} */
    this._loading = new Map();
  }

  /**
   * @param {string} roomId
   * @returns {Promise<Timeline>} With its newest page; all that is unread is on it.
   */
  async open(roomId) {
    const timeline = this._timeline(roomId);
    if (!timeline.loaded) {
      await this._load(roomId, 'first', () => ({ limit: this._firstLimit(roomId) }));
    }
    return this.timelines.get(roomId) ?? timeline;
  }

  /** @param {string} roomId */
  async older(roomId) {
    await this._load(roomId, 'before', ({ hasBefore, oldest }) => {
      if (!hasBefore) return null;
      // A page may be empty while the server still fetches what is on it.
      return oldest ? { before: oldest.order } : {};
    });
  }

  /** @param {string} roomId */
  async newer(roomId) {
    await this._load(roomId, 'after', ({ hasAfter, newest }) => (
      hasAfter && newest ? { after: newest.order } : null));
  }

  /** @param {string} roomId */
  async newest(roomId) {
    await this._load(roomId, 'replace', ({ loaded, hasAfter }) => (
      loaded && !hasAfter ? null : { limit: this._firstLimit(roomId) }));
  }

  /**
   * @param {string} roomId
   * @param {string} eventId
   * @returns {Promise<boolean>} False: there is no such entry for us.
   */
  async around(roomId, eventId) {
    try {
      await this._load(roomId, 'replace', (timeline) => (
        timeline.get(eventId) ? null : { around: eventId }));
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return false;
      throw error;
    }
    return this.timelines.get(roomId)?.get(eventId) !== undefined;
  }

  /**
   * @param {string} roomId
   * @param {number} at Milliseconds.
   * @returns {Promise<Entry | null>} The first entry then or later, else the last before.
   */
  async at(roomId, at) {
    const page = await this._load(roomId, 'replace', () => ({ at }));
    const entries = page?.entries ?? [];
    return entries.find((entry) => entry.timestamp >= at) ?? entries.at(-1) ?? null;
  }

  /**
   * Begins a timeline anew: what is known of it may have holes.
   *
   * @param {string} roomId
   */
  async reload(roomId) {
    const old = this._timeline(roomId);
    const middle = old.hasAfter ? old.entries[old.entries.length >> 1] : undefined;
    const page = await this._reloaded(roomId, middle);
    const fresh = this._options.make(roomId);
    fresh.merge(page, 'first');
    // Now, not before: what was written meanwhile belongs to it too.
    fresh.takeOver(this._timeline(roomId));
    this.timelines.set(roomId, fresh);
    this._options.onPage(fresh, page);
  }

  /**
   * @param {string} roomId
   * @param {Entry | undefined} middle Of the piece of the past that was shown.
   */
  async _reloaded(roomId, middle) {
    const { api, pageSize: limit } = this._options;
    try {
      if (middle) return await api.timeline(roomId, { limit, around: middle.event_id });
    } catch (error) {
      if (!(error instanceof ApiError) || error.temporary) throw error;
    }
    return api.timeline(roomId, { limit: this._firstLimit(roomId) });
  }

  /** @param {string} roomId */
  _timeline(roomId) {
    const known = this.timelines.get(roomId) ?? this._options.make(roomId);
    this.timelines.set(roomId, known);
    return known;
  }

  /** @param {string} roomId */
  _firstLimit(roomId) {
    const wanted = Math.min(MOST_FIRST, this._options.unread(roomId) + FEW);
    return Math.max(this._options.pageSize, wanted);
  }

  /**
   * @param {string} roomId
   * @param {Where} where
   * @param {(timeline: Timeline) => TimelineRange | null} range Asked when its turn has come.
   * @returns {Promise<TimelinePage | null>} Null: there was nothing to load.
   */
  async _load(roomId, where, range) {
    const pending = this._loading.get(roomId);
    if (pending?.where === where && where !== 'replace') return pending.promise;
    const before = pending?.promise.catch(() => null) ?? Promise.resolve(null);
    const promise = before.then(() => this._fetch(roomId, where, range));
    this._loading.set(roomId, { where, promise });
    try {
      return await promise;
    } finally {
      if (this._loading.get(roomId)?.promise === promise) this._loading.delete(roomId);
    }
  }

  /**
   * @param {string} roomId
   * @param {Where} where
   * @param {(timeline: Timeline) => TimelineRange | null} range
   */
  async _fetch(roomId, where, range) {
    const timeline = this._timeline(roomId);
    const wanted = range(timeline);
    if (!wanted) return null;
    const { api, pageSize, onPage } = this._options;
    const page = await api.timeline(roomId, { limit: pageSize, ...wanted });
    // After a reset this model is nobody's any more.
    if (this.timelines.get(roomId) !== timeline) return null;
    timeline.merge(page, timeline.loaded ? where : 'first', wanted.before ?? wanted.after);
    onPage(timeline, page);
    return page;
  }
}
