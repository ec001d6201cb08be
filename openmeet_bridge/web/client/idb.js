/**
 * A shelf in the browser's IndexedDB: it outlasts reload and crash, and all tabs share it.
 *
 * @import { Area } from './shelf.js'
 */

/** @type {Area[]} */
const AREAS = ['actions', 'drafts', 'lease'];
/** Some browsers never answer when the storage is in disorder; then it is given up (ms). */
const OPEN_WITHIN = 4000;

export class IdbShelf {
  /**
   * @param {string} name Of the database.
   * @param {IDBFactory} [factory]
   */
  constructor(name, factory = indexedDB) {
    this.durable = true;
    this._name = name;
    this._factory = factory;
    /** @type {Promise<IDBDatabase> | null} */
    this._opening = null;
  }

  /**
   * @param {Area} area
   * @returns {Promise<[string, any][]>}
   */
  async all(area) {
    const { store, done } = await this._begin(area, 'readonly');
    const keys = store.getAllKeys();
    const values = store.getAll();
    await done;
    return keys.result.map((key, index) => [String(key), values.result[index]]);
  }

  /**
   * @param {Area} area
   * @param {string} key
   * @param {(value: any) => any} change
   */
  async change(area, key, change) {
    const { store, done } = await this._begin(area, 'readwrite');
    const asked = store.get(key);
    /** @type {any} */
    let next;
    asked.onsuccess = () => {
      next = change(asked.result);
      if (next === undefined) store.delete(key);
      else store.put(next, key);
    };
    await done;
    return next;
  }

  /** Empties it at once, whoever else has it open, and removes it when nobody has. */
  async clear() {
    const database = await this._open();
    const transaction = database.transaction(AREAS, 'readwrite');
    for (const area of AREAS) transaction.objectStore(area).clear();
    await ended(transaction);
    this.close();
    this._factory.deleteDatabase(this._name);
  }

  close() {
    void this._opening?.then((database) => database.close(), () => undefined);
    this._opening = null;
  }

  /**
   * @param {Area} area
   * @param {IDBTransactionMode} mode
   */
  async _begin(area, mode) {
    const transaction = begun(await this._open(), area, mode)
      // Closed since, because another tab has removed it.
      ?? begun(await this._reopen(), area, mode);
    if (!transaction) throw new Error('The storage was closed.');
    return { store: transaction.objectStore(area), done: ended(transaction) };
  }

  _reopen() {
    this.close();
    return this._open();
  }

  /** @returns {Promise<IDBDatabase>} Opened when first needed, and again when it was closed. */
  _open() {
    this._opening ??= opened(this._factory, this._name).then((database) => {
      // Another tab removes it: not to let go would keep that tab waiting.
      database.onversionchange = () => this.close();
      database.onclose = () => this.close();
      return database;
    });
    return this._opening;
  }
}

/**
 * @param {IDBDatabase} database
 * @param {Area} area
 * @param {IDBTransactionMode} mode
 * @returns {IDBTransaction | null} Null: the database was closed.
 */
function begun(database, area, mode) {
  try {
    // Without `strict` a message could be lost that the page has shown as kept.
    return database.transaction(area, mode, { durability: 'strict' });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'InvalidStateError') return null;
    throw error;
  }
}

/**
 * @param {IDBTransaction} transaction
 * @returns {Promise<void>}
 */
function ended(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error('The storage refused it.'));
  });
}

/**
 * @param {IDBFactory} factory
 * @param {string} name
 * @returns {Promise<IDBDatabase>}
 */
function opened(factory, name) {
  return new Promise((resolve, reject) => {
    const asked = factory.open(name, 1);
    const timer = setTimeout(() => {
      reject(new Error('The storage does not answer.'));
      asked.onsuccess = () => asked.result.close();
    }, OPEN_WITHIN);
    asked.onupgradeneeded = () => {
      for (const area of AREAS) asked.result.createObjectStore(area);
    };
    asked.onerror = () => {
      clearTimeout(timer);
      reject(asked.error ?? new Error('The storage cannot be opened.'));
    };
    asked.onsuccess = () => {
      clearTimeout(timer);
      resolve(asked.result);
    };
  });
}
