/**
 * Where drafts and unsent actions are kept: the same for a browser's IndexedDB and for memory.
 *
 * @typedef {'actions' | 'drafts' | 'lease'} Area
 *
 * @typedef {object} Shelf
 * @property {boolean} durable What is put here outlasts the page, and other tabs see it.
 * @property {(area: Area) => Promise<[string, any][]>} all Every key with its value.
 * @property {(area: Area, key: string, change: (value: any) => any) => Promise<any>} change
 *   Reads a value, and puts what `change` makes of it in its place, before anybody else may read
 *   it; undefined stands for no value, also as an answer. `change` must not wait for anything.
 * @property {() => Promise<void>} clear Forgets everything.
 * @property {() => void} close
 */

/** Keeps things for as long as the page is open. */
export class MemoryShelf {
  constructor() {
    this.durable = false;
    /** @type {Map<Area, Map<string, any>>} */
    this._areas = new Map();
  }

  /**
   * @param {Area} area
   * @returns {Promise<[string, any][]>}
   */
  async all(area) {
    return structuredClone([...this._area(area)]);
  }

  /**
   * @param {Area} area
   * @param {string} key
   * @param {(value: any) => any} change
   */
  async change(area, key, change) {
    const values = this._area(area);
    const next = structuredClone(change(structuredClone(values.get(key))));
    if (next === undefined) values.delete(key);
    else values.set(key, next);
    return structuredClone(next);
  }

  async clear() {
    this._areas.clear();
  }

  close() {}

  /** @param {Area} area */
  _area(area) {
    const found = this._areas.get(area) ?? new Map();
    this._areas.set(area, found);
    return found;
  }
}

/**
 * A shelf that may break: private windows, a full disk, a forbidden storage. From then on it goes
 * on in memory with what passed through it, and says so.
 */
export class SafeShelf {
  /**
   * @param {Shelf | null} inner Null: there is no storage at all.
   * @param {(reason: string) => void} onTrouble Told once.
   */
  constructor(inner, onTrouble) {
    this._inner = inner;
    this._memory = new MemoryShelf();
    this._onTrouble = onTrouble;
  }

  get durable() {
    return this._inner?.durable ?? false;
  }

  /**
   * @param {Area} area
   * @returns {Promise<[string, any][]>}
   */
  async all(area) {
    const inner = this._inner;
    if (!inner) return this._memory.all(area);
    /** @type {[string, any][]} */
    const found = await this._try(() => inner.all(area), () => this._memory.all(area));
    for (const [key, value] of found) await this._memory.change(area, key, () => value);
    return found;
  }

  /**
   * @param {Area} area
   * @param {string} key
   * @param {(value: any) => any} change
   */
  async change(area, key, change) {
    const inner = this._inner;
    if (!inner) return this._memory.change(area, key, change);
    const changed = this._try(() => inner.change(area, key, change),
      () => this._memory.change(area, key, change));
    const value = await changed;
    if (this._inner) await this._memory.change(area, key, () => value);
    return value;
  }

  /** Leaves nothing behind. */
  async clear() {
    const inner = this._inner;
    await this._memory.clear();
    if (inner) await this._try(() => inner.clear(), async () => undefined);
  }

  close() {
    this._inner?.close();
  }

  /**
   * @param {() => Promise<any>} first
   * @param {() => Promise<any>} otherwise
   */
  async _try(first, otherwise) {
    try {
      return await first();
    } catch (error) {
      this._break(error);
      return otherwise();
    }
  }

  /** @param {unknown} error */
  _break(error) {
    if (!this._inner) return;
    this._inner.close();
    this._inner = null;
    this._onTrouble(error instanceof Error ? error.message : String(error));
  }
}
