/**
 * What tabs of one user share: a shelf, a channel, and locks.
 *
 * @import { Shelf } from './shelf.js'
 */

import { IdbShelf } from './idb.js';
import { MemoryShelf, SafeShelf } from './shelf.js';

/**
 * @typedef {object} SharedChannel
 * @property {(message: any) => void} postMessage
 * @property {() => void} close
 * @property {((event: MessageEvent) => any) | null} onmessage
 *
 * @typedef {object} UserStorage
 * @property {string} name The same in all tabs of this user.
 * @property {Shelf} shelf
 * @property {SharedChannel | null} channel
 * @property {Pick<LockManager, 'request'> | null} locks
 *
 * @typedef {(name: string, onTrouble: (reason: string) => void) => UserStorage} OpenStorage
 */

/**
 * What the browser has. Where it has nothing, or forbids it, things are kept in memory.
 *
 * @type {OpenStorage}
 */
export function browserStorage(name, onTrouble) {
  const factory = databases();
  const shelf = new SafeShelf(factory ? new IdbShelf(name, factory) : null, onTrouble);
  if (!factory) onTrouble('This browser keeps nothing.');
  return {
    name,
    shelf,
    channel: factory && globalThis.BroadcastChannel ? new BroadcastChannel(name) : null,
    // Browsers have locks only on secure pages.
    locks: globalThis.navigator?.locks ?? null,
  };
}

/**
 * Nothing outlasts the page.
 *
 * @type {OpenStorage}
 */
export function memoryStorage(name) {
  return { name, shelf: new MemoryShelf(), channel: null, locks: null };
}

/** @returns {IDBFactory | null} */
function databases() {
  try {
    return globalThis.indexedDB ?? null;
  } catch {
    return null;
  }
}
